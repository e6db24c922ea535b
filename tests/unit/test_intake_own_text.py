"""The sender's own text of a reply, without the mails that it quotes."""

import pytest
from intake.domain.mail import own_text

OWN = "Nothing has happened.\nPlease call me."


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "> Hello",
        "On Mon, 8 Jun 2026 at 14:00, Ruth <ruth@betterworldtech.com> wrote:\n> Hello",
        "On Mon, 8 Jun 2026 at 14:00, Ruth Meyer <ruth.meyer@betterworldtech.com>\nwrote:\n> Hello",
        "Am 08.06.2026 um 14:00 schrieb Ruth Meyer:\n> Hallo",
        "Le lun. 8 juin 2026 à 14:00, Ruth a écrit :\n> Bonjour",
        "El lun, 8 jun 2026 a las 14:00, Ruth escribió:\n> Hola",
        "Op ma 8 jun 2026 om 14:00 schreef Ruth:\n> Hallo",
        "-----Original Message-----\nFrom: Ruth",
        "-----Ursprüngliche Nachricht-----\nVon: Ruth",
        "________________________________\nFrom: Ruth <ruth@betterworldtech.com>\nSent: Monday",
        "From: Ruth <ruth@betterworldtech.com>\nSent: Monday",
        "*Von:* Ruth <ruth@betterworldtech.com>\n*Gesendet:* Montag",
        "-- \nIda Jones\nIT manager",
    ],
)
def test_a_quoted_mail_and_a_signature_are_left_out(rest: str) -> None:
    assert own_text(f"{OWN}\n\n{rest}") == OWN
    assert own_text(rest) == ""


@pytest.mark.parametrize(
    "text",
    [
        "On Monday nobody called.\nOn Tuesday we wrote: nothing.",
        "From: now on we wait.",
        "a > b",
        "Steps:\n- one\n-- two",
        "",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert own_text(text) == text
