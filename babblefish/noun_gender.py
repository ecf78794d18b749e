"""The gender of nouns that are counted, by how they end, where numbers agree with it: doscientas personas, eine Nacht.

Endings are right for most nouns; the commonest of the others are listed. A noun may be in the singular or the plural.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class _Genders:
    """How a language ends its feminine nouns.

    Attributes:
        feminine: Endings.
        also: Feminine nouns that end otherwise.
        but: Nouns that end so and are not feminine.
        plural: What is put behind the words that are listed.
    """

    feminine: re.Pattern[str]
    also: frozenset[str]
    but: frozenset[str]
    plural: tuple[str, ...] = ("", "s", "es")

    def has(self, word: str, listed: frozenset[str]) -> bool:
        """Say whether a word is listed, or its singular is."""
        return any(word.endswith(end) and word[: len(word) - len(end)] in listed for end in self.plural)


_GREEK = "problema sistema tema lema clima idioma diploma dilema poema drama panorama fantasma aroma esquema"
"""Words in -ma that Spanish and Portuguese took from Greek, and not from Latin as cama and forma."""

_GENDERS = {
    "spa": _Genders(
        re.compile(r"(?:a|as|[cs][ió]ón|[cs]iones|dad|dades|tad|tades|tud|tudes|umbres?)$"),
        _words(
            "mujer noche mano calle clase parte leche tarde llave nube gente sangre carne flor sal madre serie "
            "especie foto moto vez vece voz voce luz luce cruz cruce raíz raíce base frase fase torre fuente mente "
            "suerte muerte sede red pared piel miel cárcel señal catedral imagen imágen nariz tos ley"
        ),
        _words(
            f"{_GREEK} síntoma programa mapa día mediodía planeta cometa tranvía pijama policía guía poeta pirata "
            "atleta colega artista turista dentista periodista taxista ciclista especialista kilogramo gramo papa "
            "telegrama diagrama crucigrama avión camión"
        ),
    ),
    "por": _Genders(
        re.compile(r"(?:a|as|ã|ãs|ção|ções|ss?ão|ss?ões|gem|gens|dade|dades|tude|tudes)$"),
        _words(
            "mulher noite mão mãe parte chave classe tarde gente flor cor luz voz vez foto moto pele rede sede "
            "ponte fonte frase base fase crise torre febre mente lente corrente tribo dor carne árvore série cruz "
            "ordem orden nuvem nuven"
        ),
        _words(
            f"{_GREEK} sintoma programa mapa dia planeta cometa cinema pijama poeta pirata atleta colega artista "
            "turista dentista jornalista taxista ciclista especialista grama quilograma telegrama diagrama"
        ),
    ),
    "ita": _Genders(
        re.compile(r"(?:a|zione|sione|gione|tà|tù|trice|udine)$"),
        _words(
            "notte mano parte chiave nave automobile moglie madre classe fine gente carne luce croce voce valle "
            "neve febbre fonte mente torre arte sede base frase fase crise legge pelle rete auto moto foto radio "
            "volpe tigre estate serie specie canzone lezione"
        ),
        _words(
            "problema sistema tema clima dramma poema diploma schema programma telegramma chilogramma papa pigiama "
            "cinema poeta pirata atleta collega artista turista dentista giornalista tassista ciclista specialista"
        ),
        ("",),
    ),
    "fra": _Genders(
        re.compile(
            r"(?:[stx]ion|aison|ette|elle|esse|ence|ance|euse|trice|ade|ude|ure|ille|enne|onne|ine|aine|ée|ie|ère|ise|"
            r"ande|ante|ente|té)s?$"
        ),
        _words(
            "fois livre femme heure minute seconde tonne once nuit table chaise place page lettre rue eau part main "
            "tête dent mère sœur soeur tasse clé clef porte fenêtre bouche voix noix croix paire chambre lampe "
            "carte boîte plante montre note ligne langue île plage robe jupe chemise veste banque poste gare route "
            "pomme orange tomate banane chanson maison leçon côte photo radio moto auto vidéo couleur fleur valeur "
            "peur douleur odeur chaleur longueur largeur hauteur erreur feuille goutte tranche foule petite grande "
            "bonne belle nouvelle chose étoile vache chèvre poule mouche école époque marque"
        ),
        _words(
            "musée lycée trophée silence incendie génie parapluie magazine domaine capitaine père frère caractère "
            "mystère critère cimetière été côté comité traité pâté grade stade murmure portefeuille elle cette "
            "quelle telle mille"
        ),
        ("", "s"),
    ),
    "deu": _Genders(
        re.compile(r"(?:e|ung|heit|keit|schaft|ion|tät|ik|ei|in|enz|anz|frau)$"),
        _words(
            "person frau nacht stadt hand wand bank zeit welt zahl tür arbeit antwort fahrt karte mutter tochter "
            "schwester butter gabel schüssel insel regel tafel kartoffel nummer feder mauer schulter oma kamera "
            "pizza firma mail bahn straßenbahn autobahn wahl art form figur uhrzeit kraft luft lust angst nuss maus "
            "gans kuh"
        ),
        _words(
            "name käse junge kollege kunde löwe affe hase gedanke buchstabe wille glaube auge ende interesse "
            "gebäude deutsche franzose pole russe türke grieche däne schwede chinese experte zeuge neffe bote erbe "
            "getreide gemüse gebirge gelände gewerbe termin magazin benzin vitamin kamin spion stadion ei brei "
            "papagei latein protein verein stein wein schwein bein schein hain mosaik streik tanz schwanz kranz"
        ),
        ("",),
    ),
    "pol": _Genders(
        re.compile(r"a$"),
        _words(
            "osoby godziny minuty sekundy kobiety dziewczyny dziewczynki książki strony butelki kawy herbaty noce "
            "rzeczy córki siostry ulice szklanki łyżki łyżeczki paczki stacje lekcje noc rzecz"
        ),
        _words("mężczyzna kolega poeta turysta artysta dentysta kierowca tata"),
        ("",),
    ),
}


def is_feminine(noun: str, lang: str) -> bool:
    """Say whether a noun is feminine, as far as its ending and its language tell.

    Args:
        noun: In lower case.
        lang: ISO 639-3.
    """
    genders = _GENDERS.get(lang)
    if genders is None or genders.has(noun, genders.but):
        return False
    return genders.has(noun, genders.also) or bool(genders.feminine.search(noun))
