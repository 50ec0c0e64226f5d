"""What an examination finds, and its text."""

import dataclasses
import textwrap

FAULT, DOUBT, FINE = LEVELS = ("fault", "doubt", "fine")
WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: what was looked at: "backend", "heads", "background", "preprocessing", "anchors", "classes", "images"
            or "scores".
        level: "fault" (this alone explains bad detections), "doubt" (worth a look), or "fine".
        text: what was seen, with numbers.
        advice: the next thing to try; "" where all is fine.
    """

    check: str
    level: str
    text: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"`level` must be one of {', '.join(LEVELS)}. Received: level={self.level!r}")


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """All findings about one model, in the order in which one should mend them.

    Args:
        findings: tuple of `Finding`.
        examined: what was examined, in one line.
    """

    findings: tuple[Finding, ...]
    examined: str = ""

    @property
    def verdict(self) -> Finding | None:
        """The `Finding` to act on first: the first fault, else the first doubt; None if all is fine."""
        for level in (FAULT, DOUBT):
            for finding in self.findings:
                if finding.level == level:
                    return finding
        return None

    @property
    def faults(self) -> tuple[str, ...]:
        """The checks at fault, in order."""
        return tuple(finding.check for finding in self.findings if finding.level == FAULT)

    def __str__(self) -> str:
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = [self.examined] if self.examined else []
        for finding in self.findings:
            lines += _wrapped(f"  {finding.level:5}  {finding.check:{width}}  ", finding.text)
        verdict = self.verdict
        lines.append("")
        if verdict is None:
            return "\n".join([*lines, "Verdict: nothing wrong was found."])
        kind = "Verdict" if verdict.level == FAULT else "Verdict: no fault was found; the first thing to look at"
        lines += _wrapped(f"{kind}: ", f"{verdict.check}. {verdict.text}")
        return "\n".join([*lines, *_wrapped("Try next: ", verdict.advice)])


def _wrapped(head, text):
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
