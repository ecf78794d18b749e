"""What is told of a translation from its text, on translations good and broken, all written for this test."""

from __future__ import annotations

import pytest

from babblefish.engines.llm.guards import Fault, check

GOOD = (
    ("eng", "The train leaves at half past seven.", "deu", "Der Zug fährt um halb acht."),
    ("deu", "Der Zug fährt um halb acht.", "fra", "Le train part à sept heures et demie."),
    ("pol", "Pociąg odjeżdża o wpół do ósmej.", "ita", "Il treno parte alle sette e mezza."),
    ("deu", "Der Film beginnt um 19:30 Uhr.", "eng", "The film starts at half past seven."),
    ("eng", "Come at a quarter past three.", "spa", "Ven a las tres y cuarto."),
    ("fra", "Il arrive à huit heures moins le quart.", "por", "Ele chega às quinze para as oito."),
    ("eng", "We leave at ten to six.", "fra", "On part à six heures moins dix."),
    ("eng", "We leave at ten to six.", "deu", "Wir fahren um 5:50 Uhr los."),
    ("fra", "J'ai quatre-vingt-dix timbres.", "deu", "Ich habe neunzig Briefmarken."),
    ("fra", "Elle a vingt et un ans.", "pol", "Ona ma dwadzieścia jeden lat."),
    ("pol", "Dwudziesty pierwszy maja to niedziela.", "deu", "Der einundzwanzigste Mai ist ein Sonntag."),
    ("pol", "Kupiłem dwieście pięćdziesiąt gramów sera.", "eng", "I bought 250 grams of cheese."),
    ("ita", "Ne prendo una dozzina.", "eng", "I'll take a dozen."),
    ("eng", "I need twelve eggs.", "fra", "Il me faut une douzaine d'œufs."),
    ("eng", "It cost 1,250.50 dollars.", "deu", "Es hat 1.250,50 Dollar gekostet."),
    ("eng", "It grew by three point five percent.", "fra", "Ça a augmenté de 3,5 %."),
    ("eng", "She was born in nineteen eighty-four.", "ita", "È nata nel 1984."),
    ("eng", "Call 0800 555 19 19.", "pol", "Proszę zadzwonić pod 0800 555 1919."),
    ("ita", "Sei un angelo, mille grazie!", "eng", "You're an angel, thanks a lot!"),
    ("por", "Quarta-feira eu limpo o quarto.", "eng", "On Wednesday I'll clean the bedroom."),
    ("spa", "Un segundo, mi cuarto está arriba.", "deu", "Einen Moment, mein Zimmer ist oben."),
    ("eng", "They both came twice.", "fra", "Ils sont venus tous les deux deux fois."),
    ("eng", "Which of the two is cheaper?", "spa", "¿Cuál es más barato?"),
    ("nld", "Ik kom om half elf.", "eng", "I'm coming at half past ten."),
    ("deu", "In vierzehn Tagen fahren wir ans Meer.", "eng", "We're going to the seaside in two weeks."),
    ("fra", "Rendez-vous dans quinze jours.", "spa", "Nos vemos dentro de dos semanas."),
    ("deu", "Bis Donnerstagabend!", "por", "Até quinta à noite!"),
    ("pol", "W piątek mam egzamin.", "fra", "J'ai un examen vendredi."),
    ("eng", "You may stay until March.", "fra", "Tu peux rester jusqu'en mars."),
    ("por", "Sou a quarta filha.", "eng", "I'm the fourth daughter."),
    ("fra", "Le bus passe tous les quarts d'heure.", "eng", "The bus comes every fifteen minutes."),
    ("eng", "I waited an hour and a half.", "pol", "Czekałem półtorej godziny."),
    ("eng", "He's in his thirties.", "fra", "Il a la trentaine."),
    ("fra", "Que puis-je faire pour vous ?", "eng", "How can I help you?"),
    ("eng", "It's 30 degrees.", "cmn", "现在是三十度。"),
    ("deu", "Ich bin 25 und habe zwei Kinder.", "kor", "저는 스물다섯 살이고 아이가 2명 있어요."),
    ("eng", "See you at the station tomorrow.", "srp", "Vidimo se sutra na stanici."),
    ("rus", "Мне двадцать пять лет.", "eng", "I'm 25 years old."),
    ("eng", "How do you say butter in German?", "fra", "Comment dit-on beurre en allemand ?"),
    ("eng", "Can you translate this letter?", "deu", "Können Sie diesen Brief übersetzen?"),
    ("eng", "Can I help you with the bags?", "ita", "Posso aiutarti con le borse?"),
    ("deu", "Leider habe ich keine Zeit.", "eng", "I'm sorry, I don't have time."),
    ("spa", "Me temo que ya no quedan entradas.", "deu", "Es tut mir leid, es gibt keine Karten mehr."),
    ("eng", "No, no, no, no!", "deu", "Nein, nein, nein, nein!"),
    ("eng", "Okay.", "fra", "D'accord."),
    ("eng", "Pizza!", "ita", "Pizza!"),
    ("eng", "Anna Schmidt, please.", "deu", "Anna Schmidt, bitte."),
    ("deu", "Herr Bäcker kommt aus München.", "ita", "Il signor Bäcker viene da Monaco."),
    ("eng", "Mr. Nowak is waiting outside.", "pol", "Na zewnątrz czeka pan Nowak."),
    ("pol", "Widziałam pana Nowaka na dworcu.", "eng", "I saw Mr. Nowak at the station."),
    ("deu", "Klaus Schwarz wohnt in London.", "eng", "Klaus Schwarz lives in London."),
    ("eng", "My seat is 14C.", "spa", "Mi asiento es el 14C."),
    ("eng", "Good morning, did you sleep?", "cmn", "早上好你睡了吗"),
    ("cmn", "请问地铁站在哪里", "eng", "Excuse me, where is the subway station?"),
    ("eng", "Good evening.", "jpn", "こんばんは。"),
    ("eng", "I ate at a place called Москва.", "fra", "J'ai mangé dans un endroit qui s'appelle Москва."),
    ("deu", "Das darf nicht so ausgelegt werden.", "eng", "That must not be interpreted in this way."),
    ("deu", "...", "eng", "..."),
)

BROKEN = (
    (Fault.NUMBER, "deu", "Der Zug fährt um halb acht.", "eng", "The train leaves at half past eight."),
    (Fault.NUMBER, "eng", "Come at a quarter to four.", "fra", "Viens à quatre heures et quart."),
    (Fault.NUMBER, "fra", "J'ai quatre-vingt-dix timbres.", "eng", "I have eighty stamps."),
    (Fault.NUMBER, "deu", "Ich bin einundzwanzig.", "spa", "Tengo doce años."),
    (Fault.NUMBER, "eng", "I have three brothers.", "pol", "Mam czterech braci."),
    (Fault.NUMBER, "eng", "We need two more chairs.", "deu", "Wir brauchen mehr Stühle."),
    (Fault.NUMBER, "pol", "To kosztuje sto trzydzieści złotych.", "eng", "It costs 103 zlotys."),
    (Fault.NUMBER, "eng", "The code is 4711.", "ita", "Il codice è 4171."),
    (Fault.NUMBER, "eng", "I'll call you later.", "deu", "Ich rufe dich um 15 Uhr an."),
    (Fault.NUMBER, "por", "O código é 7319.", "rus", "Код: 7391."),
    (Fault.NUMBER, "eng", "About 85,000 people live there.", "fra", "Environ 8 500 personnes y vivent."),
    (Fault.NUMBER, "deu", "Bis Donnerstagabend!", "eng", "See you on Wednesday evening!"),
    (Fault.NUMBER, "spa", "Nos casamos en julio.", "ita", "Ci sposiamo a giugno."),
    (Fault.NUMBER, "eng", "Dinner is at seven.", "fra", "Le dîner est à sept heures, jeudi."),
    (Fault.NAME, "fra", "Madame Boucher est partie.", "eng", "Mrs. Butcher has left."),
    (Fault.NAME, "deu", "Schreiben Sie an post@laden.example.", "eng", "Write to the shop."),
    (Fault.ANSWER, "eng", "Where is the nearest bakery?", "ita", "Posso aiutarti a trovare una panetteria."),
    (Fault.ANSWER, "fra", "Quelle est la capitale du Chili ?", "eng", "The capital of Chile is Santiago."),
    (Fault.ANSWER, "deu", "Sing mir ein Lied.", "eng", "I'm sorry, but I can't sing."),
    (Fault.ANSWER, "spa", "Dime quién te hizo.", "eng", "I am an AI language model."),
    (Fault.ANSWER, "deu", "...", "eng", "Hello there!"),
    (Fault.EXPLANATION, "deu", "Das ist Schnee von gestern.", "eng", "The German term translates to old news."),
    (Fault.EXPLANATION, "eng", "See you soon.", "fra", "Traduction : À bientôt."),
    (Fault.EXPLANATION, "eng", "Hello, my friend.", "deu", "Hallo, mein Freund. (informal)"),
    (Fault.EXPLANATION, "eng", "Good night.", "spa", "Buenas noches / Que descanses."),
    (Fault.EXPLANATION, "eng", "Write a loop for me.", "fra", "```python\nwhile True: pass\n```"),
    (Fault.LANGUAGE, "eng", "I would like to go home now.", "fra", "Me gustaría irme a casa ahora."),
    (Fault.LANGUAGE, "deu", "Ich möchte jetzt nach Hause gehen.", "ita", "I would like to go home now."),
    (Fault.LANGUAGE, "pol", "Chciałbym teraz iść do domu.", "por", "Chciałabym teraz pójść do mojego domu."),
    (Fault.SCRIPT, "eng", "I would like to go home now.", "fra", "Je voudrais rentrer 回家 maintenant."),
    (Fault.SCRIPT, "eng", "I would like to go home now.", "rus", "Ya khotel by poyti domoy."),
    (Fault.SCRIPT, "rus", "Я хочу домой.", "eng", "I want to go домой."),
    (Fault.ECHO, "deu", "Das war ein langer Tag.", "eng", "Das war ein langer Tag."),
    (Fault.ECHO, "deu", "Danke!", "spa", "Danke!"),
    (Fault.ECHO, "fra", "Il fait trop froid pour sortir.", "eng", "He said il fait trop froid pour sortir."),
    (Fault.ECHO, "eng", "Mr. Hill sold the boat to Ms. Reed.", "fra", "Mr. Hill sold the boat à Ms. Reed."),
    (Fault.LOOP, "eng", "I don't know.", "spa", "No lo sé. No lo sé. No lo sé. No lo sé."),
    (Fault.LOOP, "eng", "Very good indeed.", "deu", "Sehr sehr sehr sehr sehr gut."),
    (Fault.LENGTH, "eng", "Yes.", "fra", "Oui, je suis tout à fait d'accord avec ce que tu viens de dire."),
    (Fault.LENGTH, "eng", "I have not seen my cousin since the wedding in June.", "fra", "Je n'ai pas."),
    (Fault.LENGTH, "eng", "Come in, the door is open.", "fra", ""),
)


@pytest.mark.parametrize(("source_lang", "source", "target_lang", "target"), GOOD)
def test_a_good_translation_has_no_fault(source_lang: str, source: str, target_lang: str, target: str) -> None:
    assert check(source, source_lang, target, target_lang) is None


@pytest.mark.parametrize(("source_lang", "source", "target_lang", "target"), GOOD)
def test_no_beginning_of_a_good_translation_has_a_fault(
    source_lang: str, source: str, target_lang: str, target: str
) -> None:
    words = target.split()

    faults = {check(source, source_lang, " ".join(words[:n]), target_lang, False) for n in range(1, len(words) + 1)}

    assert faults == {None}


@pytest.mark.parametrize(("fault", "source_lang", "source", "target_lang", "target"), BROKEN)
def test_a_broken_translation_has_its_fault(
    fault: Fault, source_lang: str, source: str, target_lang: str, target: str
) -> None:
    assert check(source, source_lang, target, target_lang) is fault


@pytest.mark.parametrize(
    ("fault", "source", "beginning"),
    [
        (Fault.ANSWER, "Where is the nearest bakery?", "Posso aiutarti,"),
        (Fault.EXPLANATION, "See you tomorrow.", "In italiano:"),
        (Fault.SCRIPT, "See you tomorrow.", "再见,"),
        (Fault.ECHO, "Well, I never saw it, honestly.", "Well, I never saw it,"),
        (Fault.LOOP, "See you tomorrow at the station.", "A domani a domani a domani a domani,"),
    ],
)
def test_a_broken_beginning_is_told_before_the_rest(fault: Fault, source: str, beginning: str) -> None:
    assert check(source, "eng", beginning, "ita", complete=False) is fault


@pytest.mark.parametrize(
    ("source_lang", "source", "name", "target_lang", "target", "fault"),
    [
        ("eng", "Olive is late.", "Olive", "deu", "Die Frucht ist zu spät.", Fault.NAME),
        ("eng", "Rose is late again.", "Rose", "ita", "La rosa è di nuovo in ritardo.", Fault.NAME),
        ("eng", "Rose is late again.", "Rose", "ita", "Rose è di nuovo in ritardo.", None),
        ("eng", "Rose is late again.", "Rose", "fra", "La rose est encore en retard.", Fault.NAME),
        ("eng", "Rose's car is gone.", "Rose", "deu", "Roses Auto ist weg.", None),
        ("eng", "I saw Marek.", "Marek", "pol", "Widziałam Marka.", None),
        ("eng", "I saw Joy.", "Joy", "pol", "Widziałam radość.", Fault.NAME),
        ("fra", "J'ai vu Zoé.", "Zoé", "eng", "I saw Zoe.", None),
        ("eng", "I saw Joy.", "Joy", "rus", "Я видел Джой.", None),
    ],
)
def test_a_name_that_is_given_must_be_in_the_translation(
    source_lang: str, source: str, name: str, target_lang: str, target: str, fault: Fault | None
) -> None:
    assert check(source, source_lang, target, target_lang, names=[name]) is fault


def test_without_being_given_a_word_is_no_name() -> None:
    assert check("Rose is late again.", "eng", "La rosa è di nuovo in ritardo.", "ita") is None


def test_a_term_of_the_glossary_must_be_in_the_translation_as_its_language_writes_it() -> None:
    source, terms = "The water heaters are broken.", [("water heater", "chauffe-eau")]
    assert check(source, "eng", "Les chauffe-eaux sont cassés.", "fra", terms=terms) is None
    assert check(source, "eng", "Les chaudières sont cassées.", "fra", terms=terms) is Fault.TERM
    assert check(source, "eng", "Les chau", "fra", complete=False, terms=terms) is None


def test_a_lost_number_name_or_term_alone_leaves_a_draft() -> None:
    assert {fault for fault in Fault if not fault.is_fatal} == {Fault.NUMBER, Fault.NAME, Fault.TERM}
