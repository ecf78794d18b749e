"""Texts as a voice is to read them: numbers, dates, amounts, signs and addresses in words."""

from __future__ import annotations

import random

import pytest

from babblefish.domain import Term
from babblefish.engines.text_splitting import has_words, last_clause_end, split_pieces
from babblefish.spoken_form import spoken_form
from babblefish.spoken_words import WORDS
from babblefish.terms import Terms

SAID = {
    "eng": [
        ("It costs $100,000.", "It costs one hundred thousand dollars."),
        ("$2.50, $5 million or $50k", "two dollars and fifty cents, five million dollars or fifty thousand dollars"),
        ("About 2.5 km, 3,400 m", "About two point five kilometers, three thousand four hundred meters"),
        ("At 7:30, 7:05 p.m. or 7am", "At seven thirty, seven oh five P M or seven A M"),
        ("I have 7. Am I late?", "I have seven. Am I late?"),
        ("from 10:30-11:00", "from ten thirty to eleven o'clock"),
        ("Drive 50 km/h, not 10-15 mph.", "Drive fifty kilometers per hour, not ten to fifteen miles per hour."),
        ("-5 °C and 20%", "minus five degrees Celsius and twenty percent"),
        ("On 11/29/2026.", "On November twenty-ninth, twenty twenty-six."),
        ("since 2026-03-01", "since March first, twenty twenty-six"),
        ("the 3rd of May, on May 5", "the third of May, on May fifth"),
        ("the 21st, in 1999, in the 1990s", "the twenty-first, in nineteen ninety-nine, in the nineteen nineties"),
        ("Call 555-1234.", "Call five five five, one two three four."),
        ("+1 555 123 4567", "plus one, five five five, one two three, four five six seven"),
        ("version 2.0.1 or v3.11", "version two dot zero dot one or version three dot eleven"),
        ("See https://www.example.com/help?x=1.", "See example dot com slash help."),
        ("Write to me@example.com!", "Write to me at example dot com!"),
        ("1/2 cup, 2½ hours", "a half cup, two and a half hours"),
        ("No. 5, #1, 007", "number five, number one, zero zero seven"),
        ("R&D: 2 + 2 = 4", "R and D: two plus two equals four"),
        ("a 5-year-old, COVID-19", "a five-year-old, COVID-nineteen"),
        ("1,234,567 people", "one million two hundred and thirty-four thousand five hundred and sixty-seven people"),
    ],
    "fra": [
        ("1 personne, 21 places, 1 fois", "une personne, vingt et une places, une fois"),
        ("1 musée, 21 livres, 1 problème", "un musée, vingt et un livres, un problème"),
        ("Il en reste 21 et 1 de plus.", "Il en reste vingt et un et un de plus."),
        ("Ça coûte 100 000 $.", "Ça coûte cent mille dollars."),
        ("1,50 € ou 2 millions €", "un euro et cinquante centimes ou deux millions d'euros"),
        ("2,5 kg, 3\u202f400 personnes", "deux virgule cinq kilogrammes, trois mille quatre cents personnes"),
        ("à 7:30, 7h05 ou 21:00", "à sept heures trente, sept heures cinq ou vingt et une heures"),
        ("50 km/h, 20 %", "cinquante kilomètres par heure, vingt pour cent"),
        ("de 10-15 °C", "de dix à quinze degrés Celsius"),
        ("le 29/11/2026", "le vingt-neuf novembre deux mille vingt-six"),
        ("le 1er mai", "le premier mai"),
        ("au 3e étage, la 1re fois", "au troisième étage, la première fois"),
        ("le 06 12 34 56 78", "le zéro six, un deux, trois quatre, cinq six, sept huit"),
        ("version 2.0.1", "version deux point zéro point un"),
        ("moi@exemple.fr", "moi arobase exemple point fr"),
        ("2,75 l et 0,05 g", "deux virgule soixante-quinze litres et zéro virgule zéro cinq gramme"),
        ("n° 5", "numéro cinq"),
        ("21 livres : 21 £", "vingt et un livres : vingt et une livres"),
    ],
    "spa": [
        ("200 personas, 21 ciudades, 300 veces", "doscientas personas, veintiuna ciudades, trescientas veces"),
        ("200 problemas, 1 mapa, 21 días", "doscientos problemas, un mapa, veintiún días"),
        ("31 mujeres, 1 mano, 200 mil personas", "treinta y una mujeres, una mano, doscientas mil personas"),
        ("1.000.000 casas", "un millón de casas"),
        ("Cuesta 100.000 $.", "Cuesta cien mil dólares."),
        ("1,50 € o 2 millones €", "un euro y cincuenta céntimos o dos millones de euros"),
        ("2,5 kg, 3.400 personas", "dos coma cinco kilogramos, tres mil cuatrocientas personas"),
        ("a las 7:30, a la 1:00", "a las siete y treinta, a la una"),
        ("50 km/h, 20 %", "cincuenta kilómetros por hora, veinte por ciento"),
        ("de 10-15 °C", "de diez a quince grados Celsius"),
        ("el 29/11/2026", "el veintinueve de noviembre de dos mil veintiséis"),
        ("el 2.º piso, la 1.ª vez", "el segundo piso, la primera vez"),
        ("llama al 612 345 678", "llama al seis uno dos, tres cuatro cinco, seis siete ocho"),
        ("versión 2.0.1", "versión dos punto cero punto uno"),
        ("yo@ejemplo.es", "yo arroba ejemplo punto es"),
        ("21 años, 1 día, 1 libra", "veintiún años, un día, una libra"),
        ("-3,05", "menos tres coma cero cinco"),
        ("¿2½ horas?", "¿dos y medio horas?"),
    ],
    "ita": [
        ("1 persona, 1 notte, 1 stazione", "una persona, una notte, una stazione"),
        ("1 studente, 1 zaino, 1 problema", "uno studente, uno zaino, un problema"),
        ("Costa 100.000 $.", "Costa centomila dollari."),
        ("1,50 € o 2 milioni €", "un euro e cinquanta centesimi o due milioni di euro"),
        ("2,5 kg, 3.400 persone", "due virgola cinque chilogrammi, tremilaquattrocento persone"),
        ("alle 7:30 o alle 7.45", "alle sette e trenta o alle sette e quarantacinque"),
        ("50 km/h, 20%", "cinquanta chilometri orari, venti percento"),
        ("da 10-15 °C", "da dieci a quindici gradi Celsius"),
        ("il 29/11/2026", "il ventinove novembre duemilaventisei"),
        ("il 1 maggio", "il primo maggio"),
        ("il 2º piano, la 1ª volta", "il secondo piano, la prima volta"),
        ("06 1234567", "zero sei, uno due tre quattro cinque sei sette"),
        ("versione 2.0.1", "versione due punto zero punto uno"),
        ("io@esempio.it", "io chiocciola esempio punto it"),
        ("1 anno, 21 anni", "un anno, ventuno anni"),
        ("n° 5", "numero cinque"),
    ],
    "por": [
        ("200 pessoas, 2 mulheres, 2 viagens", "duzentas pessoas, duas mulheres, duas viagens"),
        ("2 mil pessoas, 2 problemas, 2 mapas", "duas mil pessoas, dois problemas, dois mapas"),
        ("Custa R$ 100.000.", "Custa cem mil reais."),
        ("R$ 5,50 ou R$ 2 milhões", "cinco reais e cinquenta centavos ou dois milhões de reais"),
        ("2,5 kg, 3.400 pessoas", "dois vírgula cinco quilogramas, três mil e quatrocentas pessoas"),
        ("às 7:30, às 21h15", "às sete horas e trinta, às vinte e uma horas e quinze"),
        ("50 km/h, 20%", "cinquenta quilômetros por hora, vinte por cento"),
        ("de 10-15 °C", "de dez a quinze graus Celsius"),
        ("29/11/2026", "vinte e nove de novembro de dois mil e vinte e seis"),
        ("1º de maio", "primeiro de maio"),
        ("o 2º andar, a 1ª vez", "o segundo andar, a primeira vez"),
        ("ligue para 912 345 678", "ligue para nove um dois, três quatro cinco, seis sete oito"),
        ("versão 2.0.1", "versão dois ponto zero ponto um"),
        ("eu@exemplo.pt", "eu arroba exemplo ponto pt"),
        ("2 pessoas, 2 dias", "duas pessoas, dois dias"),
        ("100 €", "cem euros"),
    ],
    "deu": [
        ("1 Person, 1 Nacht, 1 Zeitung", "eine Person, eine Nacht, eine Zeitung"),
        ("1 Name, 1 Termin, 1 Kind", "ein Name, ein Termin, ein Kind"),
        ("Das kostet 100.000 €.", "Das kostet einhunderttausend Euro."),
        ("12,50 € oder 3,5 Mio. Euro", "zwölf Euro und fünfzig Cent oder drei Komma fünf Millionen Euro"),
        ("2,5 kg, 3.400 Menschen", "zwei Komma fünf Kilogramm, dreitausendvierhundert Menschen"),
        ("um 7:30 Uhr, um 7.45 Uhr, um 1:00", "um sieben Uhr dreißig, um sieben Uhr fünfundvierzig, um ein Uhr"),
        ("50 km/h, 20 %", "fünfzig Kilometer pro Stunde, zwanzig Prozent"),
        ("von 10-15 °C", "von zehn bis fünfzehn Grad Celsius"),
        ("am 29.11.2026", "am neunundzwanzigsten November zweitausendsechsundzwanzig"),
        ("am 3. Mai, der 3. Mai", "am dritten Mai, der dritte Mai"),
        ("im 3. Stock", "im dritten Stock"),
        ("030 1234567", "null drei null, eins zwei drei vier fünf sechs sieben"),
        ("Version 2.0.1", "Version zwei Punkt null Punkt eins"),
        ("ich@beispiel.de", "ich ät beispiel Punkt de"),
        ("1 Mann, 1999", "ein Mann, neunzehnhundertneunundneunzig"),
        ("bis zum 24.12.", "bis zum vierundzwanzigsten Dezember"),
    ],
    "pol": [
        ("2 osoby, 22 godziny, 1 osoba", "dwie osoby, dwadzieścia dwie godziny, jedna osoba"),
        ("2 domy, 2 dni", "dwa domy, dwa dni"),
        ("To kosztuje 100 000 zł.", "To kosztuje sto tysięcy złotych."),
        ("5,50 zł, 2 zł i 1 zł", "pięć złotych i pięćdziesiąt groszy, dwa złote i jeden złoty"),
        ("2,5 kg, 3 400 osób", "dwa przecinek pięć kilograma, trzy tysiące czterysta osób"),
        ("o 7:30, jest 7:05", "o siódmej trzydzieści, jest siódma zero pięć"),
        ("50 km/h, 20%", "pięćdziesiąt kilometrów na godzinę, dwadzieścia procent"),
        ("10-15 °C", "dziesięć do piętnaście stopni Celsjusza"),
        ("29.11.2026", "dwudziestego dziewiątego listopada dwa tysiące dwadzieścia sześć"),
        ("29 listopada", "dwudziestego dziewiątego listopada"),
        ("+48 22 123 45 67", "plus cztery osiem, dwa dwa, jeden dwa trzy, cztery pięć, sześć siedem"),
        ("wersja 2.0.1", "wersja dwa kropka zero kropka jeden"),
        ("ja@przyklad.pl", "ja małpa przyklad kropka pl"),
        ("5 mln zł", "pięć milionów złotych"),
        ("-3,05", "minus trzy przecinek zero pięć"),
        ("nr 5", "numer pięć"),
    ],
}


@pytest.mark.parametrize(("lang", "text", "said"), [(lang, *row) for lang, rows in SAID.items() for row in rows])
def test_numbers_and_signs_become_words(lang: str, text: str, said: str) -> None:
    assert spoken_form(text, lang) == said


def test_every_language_that_is_spoken_from_digits_has_its_table() -> None:
    assert SAID.keys() == WORDS.keys()
    assert all(len(rows) >= 12 for rows in SAID.values())


@pytest.mark.parametrize("lang", WORDS)
def test_markup_emoji_and_symbols_are_not_spoken(lang: str) -> None:
    text = "# Tom\n- **Ana** and _Eva_ \U0001f600 `ok` ~~no~~ [Rome](http://x.com/1) <b>Oslo</b> \u2122 Ana*\n> *Tom*"
    assert spoken_form(text, lang) == "Tom\nAna and Eva ok no Rome Oslo Ana\nTom"
    assert not has_words(spoken_form("\U0001f44d\U0001f3fd *** # \u26a0\ufe0f", lang))


@pytest.mark.parametrize("lang", WORDS)
def test_text_without_numbers_or_signs_stays(lang: str) -> None:
    text = "Where's Zoë? \u201cHere\u201d, she said \u2013 and l'eau\u2026 \u00abOui\u00bb (no); \u00bfsí? Yes!\nA-b."
    assert spoken_form(text, lang) == text


@pytest.mark.parametrize("lang", ["jpn", "rus", "nld", "xxx", ""])
def test_a_language_without_words_of_its_own_is_left_alone(lang: str) -> None:
    assert spoken_form("**$5** \U0001f600 7:30", lang) == "**$5** \U0001f600 7:30"


def test_what_the_glossary_has_respelled_is_spoken_as_it_says() -> None:
    spelled = Terms((Term("Kowalczyk", spoken={"eng": "Koval-chick O'Ny"}), Term("A4", spoken={"eng": "ay four"})))
    text = spelled.respelled("Kowalczyk has 2 A4 sheets.", "eng")
    assert spoken_form(text, "eng") == "Koval-chick O'Ny has two ay four sheets."


@pytest.mark.parametrize("lang", WORDS)
def test_no_text_is_too_odd(lang: str) -> None:
    signs = (
        "0123456789" * 3 + ".,:/-+ \u20ac$%\u00b0\u00ba\u00aahkm'\u2019\u202f\u00bd@#*_[]()\nABpme\u0663\u0001\ud800"
    )
    pieces = [
        "am ",
        "May ",
        "mai ",
        "3. ",
        "1er ",
        "2:30",
        "km/h",
        "million",
        "Uhr",
        "www.",
        "a@b.c",
        "v1.2",
        "0th",
        "9" * 30,
    ]
    chosen = random.Random(0)
    for _ in range(1000):
        text = "".join(chosen.choice(pieces if chosen.random() < 0.2 else signs) for _ in range(chosen.randint(1, 40)))
        assert not any(char in "*_#$" for char in spoken_form(text, lang))


def test_no_piece_of_speech_ends_within_a_number_a_range_or_a_date() -> None:
    long = "Das sind immerhin ungefähr"
    assert split_pieces(f"{long} 10 \u2013 15 Minuten, und wir kommen dann am 3. Mai zu Ihnen nach Hause.") == [
        f"{long} 10 \u2013 15 Minuten,",
        "und wir kommen dann am 3. Mai zu Ihnen nach Hause.",
    ]
    assert last_clause_end("Wir kommen am 3. ") == 0
    assert last_clause_end("7\uff1a30") == 0
    assert last_clause_end("好的\uff0c30") == 3
