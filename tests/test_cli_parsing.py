"""The command line itself: help of every command, misspelt words, completion, and terminals of every kind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from keras_ssd.cli.main import COMMANDS, main, make_parser
from keras_ssd.names import DETECTORS

LEAVES = {leaf.prog: leaf for leaf in make_parser().leaves()}
EVERY = ["keras-ssd", *(f"keras-ssd {name}" for name in COMMANDS), *LEAVES]
COMMAND_LINES = [pytest.param(name.split()[1:], id=name) for name in dict.fromkeys(EVERY)]


def call(*words, input=None, **environment):
    """The command in a process of its own, with nothing that a test run sets."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "COLUMNS")}
    command = [sys.executable, "-m", "keras_ssd", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**inherited, **environment}
    )


# -- help -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_values_help_fits_80_columns(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ending:
        main([*words, "--help"])
    assert ending.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: " + " ".join(["keras-ssd", *words]))
    assert [line for line in out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", [[], ["data"], ["anchors"], ["zoo"]], ids=" ".join)
def test_values_a_bare_name_shows_help(words, capsys):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(" ".join(["usage: keras-ssd", *words]))
    assert "positional arguments:" in out


def test_values_every_command_is_listed(capsys):
    main([])
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in out] == []


@pytest.mark.parametrize("command", ["detect", "train", "evaluate", "doctor", "anchors report"])
def test_values_model_names_every_detector(command):
    from keras_ssd.models.opening import FACTORIES

    assert tuple(sorted(FACTORIES)) == DETECTORS
    [action] = [action for action in LEAVES[f"keras-ssd {command}"]._actions if action.dest == "model"]
    assert [name for name in FACTORIES if name not in action.help] == []


def test_values_data_offers_every_format():
    from keras_ssd.data.reading import FORMATS, WRITTEN

    readable = [action for action in LEAVES["keras-ssd data check"]._actions if action.dest == "format"]
    writable = [action for action in LEAVES["keras-ssd data convert"]._actions if action.dest == "to"]
    assert [tuple(action.choices) for action in (*readable, *writable)] == [tuple(FORMATS), tuple(WRITTEN)]


def test_values_the_version_is_the_packages(capsys):
    from keras_ssd import __version__

    with pytest.raises(SystemExit) as ending:
        main(["--version"])
    assert ending.value.code == 0
    assert capsys.readouterr().out == f"keras-ssd {__version__}\n"


# -- misspelt words ---------------------------------------------------------------------------------

MISSPELT = [
    ("detcet a.jpg", "keras-ssd", "unknown command 'detcet'. Did you mean detect?"),
    ("frobnicate", "keras-ssd", f"unknown command 'frobnicate'. Expected one of {', '.join(COMMANDS)}."),
    ("zoo lst", "keras-ssd zoo", "unknown action 'lst'. Did you mean list?"),
    ("data chekc x", "keras-ssd data", "unknown action 'chekc'. Did you mean check?"),
    ("detect a.jpg --wieghts x", "keras-ssd detect", "unknown option '--wieghts'. Did you mean --weights?"),
    ("detect a.jpg -w x --confidense=0.3", "keras-ssd detect", "'--confidense'. Did you mean --confidence?"),
    ("detect a.jpg -w x -z", "keras-ssd detect", "unknown option '-z'."),
    ("train d -o x --policy drp", "keras-ssd train", "argument --policy: unknown value 'drp'. Did you mean drop?"),
    ("data convert d --to yol -o x", "keras-ssd data convert", "unknown value 'yol'. Did you mean yolo?"),
    ("zoo list --jsn", "keras-ssd zoo list", "unknown option '--jsn'. Did you mean --json?"),
    ("zoo list more", "keras-ssd zoo list", "unexpected argument: more"),
    ("doctor", "keras-ssd doctor", "the following arguments are required: MODEL, IMAGES"),
    ("--verson", "keras-ssd", "unknown option '--verson'. Did you mean --version?"),
    ("completion bahs", "keras-ssd completion", "unknown value 'bahs'. Did you mean bash?"),
]


@pytest.mark.parametrize(("line", "usage", "message"), MISSPELT, ids=[line for line, *_ in MISSPELT])
def test_rejects_a_misspelt_word_with_its_own_usage(line, usage, message, capsys):
    with pytest.raises(SystemExit) as ending:
        main(line.split())
    assert ending.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"usage: {usage} [-h]")
    assert message in err
    assert err.endswith(f"`{usage} --help` explains.\n")


def test_values_what_looks_like_an_option_may_be_a_value():
    args = make_parser().parse_args(["detect", "-w", "x", "--", "--photo.jpg"])
    assert args.sources == ["--photo.jpg"]
    assert make_parser().parse_args(["demo", "--seed", "-3"]).seed == -3
    assert make_parser().parse_args(["detect", "a", "-wx", "--conf", "0.3"]).confidence == 0.3  # as argparse shortens


@pytest.mark.parametrize("line", ["--traceback zoo show nothing", "zoo show nothing --traceback"])
def test_rejects_with_a_traceback_wherever_it_is_asked_for(line):
    with pytest.raises(ValueError, match="Unknown weights 'nothing'"):
        main(line.split())


# -- completion -------------------------------------------------------------------------------------

COMPLETED = [
    ("keras-ssd de", {"demo", "detect"}),
    ("keras-ssd zoo ", {"list", "show", "download", "inspect"}),
    ("keras-ssd detect a.jpg --weights ssd300.voc07+12+", {"ssd300.voc07+12+coco"}),
    ("keras-ssd train x --model ssd_", {"ssd_mobilenet_v1", "ssd_small"}),
    ("keras-ssd train x --policy ", {"error", "drop", "clip"}),
    ("keras-ssd evaluate x --conf", {"--confidence"}),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(("line", "expected"), COMPLETED, ids=[line for line, _ in COMPLETED])
def test_values_bash_completes(line, expected, tmp_path, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "keras-ssd"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"""
    source {script}
    COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}
    entry=$(complete -p keras-ssd); entry=${{entry##*-F }}; ${{entry%% *}} keras-ssd '{words[-1]}' '{words[-2]}'
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "powershell"])
def test_values_completion_is_written_for_every_shell(shell, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in out] == []
    assert "ssd300.voc07+12" in out


def test_rejects_completion_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'keras-ssd[completion]'" in capsys.readouterr().err


# -- terminals --------------------------------------------------------------------------------------


def test_values_output_on_a_terminal_that_is_not_unicode():
    from keras_ssd.cli import streams

    code = (
        "import sys; from keras_ssd.cli import streams; streams.prepare()\n"
        "print('\\u2212 32\\u00b2 \\u00d7 caf\\u00e9 \\udcff'); print('\\u2026', file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=True)
    assert done.stdout == b"- 32^2 x caf\\xe9 \\udcff\n"
    assert done.stderr == b"...\n"
    assert all(text.isascii() for text in streams._PLAIN.values())


def test_values_a_file_name_that_is_no_unicode_is_told(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.h5"
    done = call("zoo", "inspect", os.fsdecode(name))
    assert done.returncode == 2
    assert "caf\\udce9.h5" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["zoo", "list", "--help"], ["zoo", "show", "ssd300.coco"], []], ids=" ".join)
def test_values_a_closed_pipe_ends_quietly(words):
    command = [sys.executable, "-m", "keras_ssd", *words]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_values_without_any_standard_output():
    script = f'"{sys.executable}" -m keras_ssd zoo show ssd300.coco >&-'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_values_interrupted_without_a_traceback(tmp_path):
    code = (
        "import sys, time; from keras_ssd.cli import zoo, main\n"
        "def wait(args):\n    print('waiting', flush=True); time.sleep(60)\n"
        "zoo._list = wait\nsys.exit(main(['zoo', 'list']))"
    )
    heard = {
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    }  # though tests may run with &
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes, **heard) as process:
        assert process.stdout.readline() == b"waiting\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b"\ninterrupted\n"


def on_a_terminal(words, **environment):
    """What the command writes to a terminal of its own."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "keras_ssd", *words]
    with subprocess.Popen(command, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", **environment}) as p:
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not part:
                break
            shown += part
        assert p.wait(60) == 0
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_values_the_table_of_weights_fits_its_terminal(columns):
    shown = on_a_terminal(["zoo", "list"], COLUMNS=str(columns), NO_COLOR="1")
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if "more cannot be loaded" in line)]
    assert [line for line in table if len(line) > columns] == []
    assert "ssd300" in shown


def test_values_no_color_is_kept():
    assert "\x1b[3" not in on_a_terminal(["zoo", "list"], NO_COLOR="1")
    assert "\x1b[3" not in on_a_terminal(["--help"], NO_COLOR="1")
