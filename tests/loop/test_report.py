import re

import pytest

from volition import Loop, LoopConfig
from volition.decoder.still import Still
from volition.effector.cursor import Cursor


@pytest.mark.parametrize("kind", ["decoder", "effector"])
def test_what_a_stage_tells_of_itself_is_in_the_report(kind):
    class Telling({"decoder": Still, "effector": Cursor}[kind]):
        def figures(self):
            return {"drift_nats": 1.25}

    loop = Loop(**{"decoder": "random", kind: Telling()}, config=LoopConfig(oracle=True))
    report = loop.run(0.1)
    assert getattr(report, kind) == report.to_dict()[kind] == loop.told(kind) == {"drift_nats": 1.25}
    assert re.search(rf"\n{kind}\n  drift_nats +1\.25\n?", str(report))
