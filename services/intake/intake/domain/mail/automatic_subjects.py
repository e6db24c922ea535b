"""Subjects that programs write: automatic replies, bounces, answers to invitations. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from intake.domain.words import fold_text


def _folded(*phrases: str) -> tuple[str, ...]:
    return tuple(map(fold_text, phrases))


_REPLY: Final = _folded(
    *("automatic reply", "automatic response", "automated reply", "automated response", "auto reply", "auto-reply"),
    *(
        "autoreply",
        "autoresponder",
        "auto response",
        "auto-response",
        "autoresponse",
        "out of office reply",
        "out of office autoreply",
    ),
    *(
        "yahoo! auto response",
        "out of office auto-reply",
        "out of office notification",
        "out of office message",
        "vacation reply",
    ),
    *("vacation response", "vacation message", "vacation notice", "absence notice", "absence message"),
    *("automatische Antwort", "autom. Antwort", "automatische Rückantwort", "Abwesenheitsnotiz"),
    *("Abwesenheitsnachricht", "Abwesenheitsmeldung", "Abwesenheitsbenachrichtigung", "Abwesenheitsassistent"),
    *("automatische Abwesenheitsnotiz", "automatische Abwesenheitsmeldung", "automatische Abwesenheitsnachricht"),
    *("réponse automatique", "message d'absence", "notification d'absence", "avis d'absence", "réponse d'absence"),
    *("respuesta automática", "autorrespuesta", "auto respuesta", "mensaje de ausencia", "aviso de ausencia"),
    *("resposta automática", "mensagem de ausência", "risposta automatica", "messaggio di assenza"),
    *("automatisch antwoord", "automatische reactie", "automatische beantwoording", "automatisch bericht"),
    *("afwezigheidsassistent", "afwezigheidsbericht", "afwezigheidsmelding"),
    *("autosvar", "automatiskt svar", "automatisk svar", "frånvaromeddelande", "fraværsmelding", "fraværsbesked"),
    *("automaattinen vastaus", "poissaoloviesti", "automatyczna odpowiedź", "odpowiedź automatyczna"),
    *("automatická odpověď", "automatikus válasz", "răspuns automat", "otomatik yanıt", "otomatik cevap"),
    *("automatski odgovor", "samodejni odgovor", "automaatvastus", "automatinis atsakymas", "automātiska atbilde"),
    *("automatický odpoveď", "automatická odpoveď", "balasan otomatis", "trả lời tự động", "ตอบกลับอัตโนมัติ"),
    *("תשובה אוטומטית", "رد تلقائي", "الرد التلقائي", "پاسخ خودکار"),
    *("αυτόματη απάντηση", "автоответ", "автоматический ответ", "автоматична відповідь", "автоматичен отговор"),
    *("自動応答", "自動返信", "自動回覆", "自動答覆", "自动答复", "自动回复", "자동 회신", "자동회신", "자동 응답"),
)
"""They name an automatic reply."""
_OFFICE: Final = _folded(
    *("out of office", "out-of-office", "out of the office", "away from the office", "away from my desk"),
    *("nicht im Büro", "außer Haus", "absence du bureau", "absent du bureau", "absente du bureau"),
    *("fuera de la oficina", "fuera de oficina", "ausente de la oficina", "fora do escritório"),
    *("ausente do escritório", "fuori ufficio", "fuori sede", "assente dall'ufficio", "niet op kantoor"),
    *("ikke på kontoret", "poissa toimistosta", "poza biurem", "mimo kancelář", "不在通知", "不在办公室", "부재중"),
)
"""They are hardly ever about anything else, if a colon follows."""
_AWAY: Final = _folded(
    *("i am out of", "i'm out of", "i am away", "i'm away", "currently away", "on vacation", "on holiday"),
    *("on annual leave", "on leave", "vacation", "holiday", "ooo", "abwesend", "Abwesenheit", "im Urlaub"),
    *("ich bin im Urlaub", "Urlaub", "absence", "absent", "absente", "en congé", "en congés", "en vacances"),
    *("ausente", "de vacaciones", "ausência", "de férias", "assente", "in ferie", "afwezig", "afwezigheid"),
    *("met vakantie", "op vakantie", "frånvarande", "fraværende", "fravær", "ikke til stede", "nieobecność", "外出中"),
)
"""People also write about it."""
_NOTES: Final = "auto:"
_RETURNING: Final = _folded(
    "(returning", "(Rückkehr", "(retour", "(de retour", "(regreso", "(ritorno", "(rientr", "(terug"
)
"""Lotus Notes writes `AUTO: Ada Byron is out of the office (returning 06/22/2026)`."""
_IS_AWAY: Final = _folded("is out of the office", "is out of office", "ist nicht im Büro", "ist außer Haus")
_BOUNCE: Final = _folded(
    *("undelivered", "undeliverable", "mail delivery failed", "mail delivery failure", "mail delivery subsystem"),
    *("mail delivery system", "delivery status notification", "delivery failure", "delivery has failed"),
    *("delivery notification", "delivery delayed", "failure notice", "returned mail", "returned to sender"),
    *("message not delivered", "message delayed", "mail system error", "warning: could not send", "warning: message"),
    *("unzustellbar", "nicht zustellbar", "Rückgabe der", "Zustellung fehlgeschlagen"),
    *("non remis", "échec de la remise", "échec de remise", "courrier non remis", "no se puede entregar"),
    *("no entregado", "não é possível entregar", "onbestelbaar", "niet bezorgd", "non recapitabile"),
    *("non consegnato", "mancato recapito", "kan inte levereras", "kan ikke leveres"),
)
_MEETING_REPLY: Final = _folded(
    *("accepted", "declined", "tentative", "tentatively accepted", "zugesagt", "angenommen", "abgelehnt"),
    *("mit Vorbehalt", "unter Vorbehalt", "vorläufig", "accepté", "acceptée", "refusé", "refusée", "provisoire"),
    *("aceptada", "aceptado", "rechazada", "rechazado", "provisional", "aceite", "aceita", "aceito", "recusado"),
    *("recusada", "provisório", "accettato", "accettata", "rifiutato", "rifiutata", "provvisorio", "geaccepteerd"),
    *("afgewezen", "voorlopig", "accepterad", "avböjd", "accepteret", "afvist", "godtatt", "avslått"),
    *("meeting accepted", "meeting declined", "vorläufig zugesagt", "vorläufig angenommen", "tentatif", "acceptation"),
    *("accepté provisoirement", "provisoirement accepté", "aceptado provisionalmente", "aceptada provisionalmente"),
    *("aceptación provisional", "aceite provisoriamente", "aceito provisoriamente", "tentativa", "rejeitado"),
    *("accettato provvisoriamente", "accettata provvisoriamente", "voorlopig geaccepteerd", "geweigerd", "preliminär"),
    *("preliminärt accepterad", "tackat nej", "foreløbig", "foreløpig", "hyväksytty", "hylätty", "alustava"),
    *("zaakceptowano", "odrzucono", "wstępnie zaakceptowano", "přijato", "odmítnuto", "elfogadva", "elutasítva"),
    *(
        "принято",
        "отклонено",
        "под вопросом",
        "kabul edildi",
        "reddedildi",
        "承諾",
        "辞退",
        "仮承諾",
        "已接受",
        "已拒绝",
    ),
)


def names_automatic_reply(subject: str, *, is_reply: bool, has_hint: bool) -> bool:
    """Whether the subject begins as automatic replies do, and not with `Re:`.

    Phrases that people also write (`Vacation`) count only in a reply, or as the whole subject if `has_hint`: something
    else in the mail suggests an automatic reply.
    """
    folded = fold_text(subject).removeprefix("[")
    if any(rest.lstrip()[:1] in ("", ":", "-", "–", "]") for rest in _rests(folded, _REPLY)):
        return True
    is_question = folded.endswith("?") and not is_reply and not has_hint
    if not is_question and any(rest.lstrip()[:1] in (":", "]") for rest in _rests(folded, _OFFICE)):
        return True
    if folded.startswith(_NOTES) and (is_reply or any(word in folded for word in _RETURNING)):
        return True
    rests = list(_rests(folded, (*_REPLY, *_OFFICE, *_AWAY)))
    if is_reply:
        is_added = folded.rpartition(" - ")[2] in (*_REPLY, *_OFFICE)
        return is_added or any(not rest[:1].isalnum() for rest in rests) or _says_who_is_away(folded)
    return has_hint and any(rest.lstrip()[:1] in ("", ":") for rest in rests)


def _rests(folded: str, phrases: Sequence[str]) -> Iterator[str]:
    """The rests of the subject after each phrase with which it begins."""
    return (folded[len(phrase) :] for phrase in phrases if folded.startswith(phrase))


def _says_who_is_away(folded: str) -> bool:
    """`Ada Byron is out of the office`, and not `Re: Ada Byron is out of the office`."""
    return ":" not in folded and any(phrase in folded for phrase in _IS_AWAY)


def names_bounce(subject: str) -> bool:
    """Whether the subject begins as those of bounces do."""
    return fold_text(subject).startswith(_BOUNCE)


def names_meeting_reply(subject: str) -> bool:
    """Whether the subject begins as answers to invitations do (`Accepted: ...`)."""
    word, colon, _ = fold_text(subject).partition(":")
    return bool(colon) and word.strip() in _MEETING_REPLY
