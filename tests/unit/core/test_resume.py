import subprocess
import sys

import torch

from carryover.core.resume import NoResume, Resume


def test_no_resume_keeps_nothing_and_never_asks():
    resume = NoResume()
    assert isinstance(resume, Resume)
    assert not resume.due()
    resume.save(3, {"weight": torch.ones(2)}, '{"step":3}')
    assert resume.restore() is None
    assert resume.notes == "{}"


def test_the_protocol_can_be_imported_without_torch():
    program = "import sys, carryover.core.resume; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
