from __future__ import annotations

import re

from descentlab.cli.main import COMMANDS, main


def test_without_a_command_all_are_listed_in_a_line_each(capsys):
    assert main([]) == 2
    listed = capsys.readouterr().out
    assert re.findall(r"^  (\S+) {2,}\S", listed, re.MULTILINE) == list(COMMANDS)
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed


def test_a_first_sentence_is_what_a_command_says_of_itself(capsys):
    main(["--help"])
    assert (
        "  serve            Show a store in the browser while it changes" in capsys.readouterr().out
    )
