"""What transfers are compared with: the source itself, and ordinary training with as many gradient evaluations."""

import json

from carryover.core.resume import Resume
from carryover.stages._transfer import MiniBatches, Row, row
from carryover.stages._transfer_case import Case
from carryover.transfer.descent import Descent
from carryover.transfer.standard import standard


def measured_source(case: Case, resume: Resume) -> list[Row]:
    """Measure the source along its trajectory, from its start on."""
    resume.restore()
    notes = json.loads(resume.notes)
    rows: list[Row] = notes.get("rows", [])
    for t in case.steps:
        if t > notes.get("step", -1):
            rows += case.referred("source", t, case.trajectory.point(t))
            if resume.due() or t == case.steps[-1]:
                resume.save(t, {}, json.dumps({"step": t, "rows": rows}))
    return rows


def measured_standard(case: Case, resume: Resume) -> list[Row]:
    """Train the target as usual, and measure it after as many gradient evaluations as FGMT and GMT have had.

    Source: learning transfer, section 1.7 (standard training).
    """
    training, source = case.target.training, case.setting.source
    descent = Descent(case.start, momentum=training.momentum, weight_decay=training.weight_decay)
    state = resume.restore()
    notes = json.loads(resume.notes)
    rows: list[Row] = notes.get("rows", [])
    done = notes.get("done", -1)
    if state is not None:
        descent.restore(case.setting.placed(state))
    due = [("standard", t, 2 * t) for t in case.steps]
    due += [("standard-gmt", t, t + t * (t + 1) // 2) for t in case.steps]
    counts = range(done + 1, 1 + max(count for _, _, count in due))
    batches = MiniBatches(source.batches((case.target.seed,)), case.run.num_batches)
    nets = standard(case.setting.network, descent, batches, counts, training.lr, max(done, 0))
    for count, parameters in zip(counts, nets, strict=True):
        for method, t, wanted in due:
            if wanted == count:
                rows += case.referred(method, t, parameters)
                rows.append(row(case.pair, method, "none", t, "num_gradients", float(count)))
        if resume.due() or count == counts[-1]:
            resume.save(count, descent.state(), json.dumps({"done": count, "rows": rows}))
    return rows
