"""The words of the invented country: regions, districts, parties and titles, each in four languages.

Every name here is made of an ordinary word (pine, river, bread), so that nobody can take a place or a party
for a real one; it is the country of `examples/hill-country`, grown up.
"""

from typing import Final, NamedTuple, TypeAlias

Names: TypeAlias = tuple[str, str, str, str]
"""Kyrgyz, Kazakh, Russian, English."""

LANGUAGES: Final = ("ky", "kk", "ru", "en")
# The place of the language that a demonstration speaks.
ENGLISH: Final = LANGUAGES.index("en")

COUNTRY: Final[Names] = ("Дөбөлүү өлкө", "Төбелі ел", "Страна Холмов", "Hill Country")

TITLE: Final[Names] = (
    "МАШЫГУУ: Дөбөлүү өлкө, Чогулуштун шайлоосу (ойдон чыгарылган)",
    "ЖАТТЫҒУ: Төбелі ел, Жиналысты сайлау (ойдан шығарылған)",
    "РЕПЕТИЦИЯ: Страна Холмов, выборы Собрания (вымышленные)",
    "REHEARSAL: Hill Country, election of the Assembly (invented)",
)
NOTICE: Final = (
    "МАШЫГУУ, баары ойдон чыгарылган. ЖАТТЫҒУ, бәрі ойдан шығарылған. РЕПЕТИЦИЯ, всё вымышлено. "
    "REHEARSAL, everything is invented."
)
ASSEMBLY: Final[Names] = (
    "Чогулуштун шайлоосу (машыгуу)",
    "Жиналысты сайлау (жаттығу)",
    "Выборы Собрания (репетиция)",
    "Election of the Assembly (rehearsal)",
)
REFERENDUM: Final[Names] = (
    "Референдум: Тынч көлдө корук түзүү (машыгуу)",
    "Референдум: Тынық көлде қорық құру (жаттығу)",
    "Референдум: создать заповедник у Тихого озера (репетиция)",
    "Referendum: a nature reserve at the Quiet Lake (rehearsal)",
)
AGAINST_ALL: Final[Names] = ("Бардыгына каршы", "Барлығына қарсы", "Против всех", "Against all")
YES: Final[Names] = ("Ооба", "Иә", "Да", "Yes")
NO: Final[Names] = ("Жок", "Жоқ", "Нет", "No")
STATION: Final[Names] = (
    "№ {0} шайлоо участкасы",
    "№ {0} сайлау учаскесі",
    "Избирательный участок № {0}",
    "Polling station {0}",
)
DISTRICT: Final[Names] = ("{0} району", "{0} ауданы", "{0} район", "{0} District")


class Party(NamedTuple):
    """A party that stands for the Assembly.

    Attributes:
        names: in four languages.
        color: ``#rrggbb``.
        strength: its share of the country's votes, in thousandths, before chance.
    """

    names: Names
    color: str
    strength: int


PARTIES: Final = (
    Party(
        (
            "Бийик карагайлар партиясы",
            "Биік қарағайлар партиясы",
            "Партия высоких сосен",
            "Party of Tall Pines",
        ),
        "#1f7a4d",
        214,
    ),
    Party(
        (
            "Жай аккан дарыялар биримдиги",
            "Жай аққан өзендер одағы",
            "Союз медленных рек",
            "Union of Slow Rivers",
        ),
        "#1f6fb2",
        187,
    ),
    Party(
        (
            "Эртең мененки туман кыймылы",
            "Таңғы тұман қозғалысы",
            "Движение утреннего тумана",
            "Movement for Morning Fog",
        ),
        "#8a8f98",
        142,
    ),
    Party(
        (
            "Тегерек таштар альянсы",
            "Дөңгелек тастар альянсы",
            "Альянс круглых камней",
            "Alliance of Round Stones",
        ),
        "#b2671f",
        118,
    ),
    Party(
        ("Жылуу нан партиясы", "Жылы нан партиясы", "Партия тёплого хлеба", "Warm Bread Party"),
        "#c9a227",
        96,
    ),
    Party(
        ("Узун жол кыймылы", "Ұзақ жол қозғалысы", "Движение длинной дороги", "Long Road Movement"),
        "#7a4fb2",
        77,
    ),
    Party(
        ("Кечки чай биримдиги", "Кешкі шай одағы", "Союз вечернего чая", "Union of Evening Tea"),
        "#a33b52",
        58,
    ),
    Party(
        ("Жаңы көпүрөлөр партиясы", "Жаңа көпірлер партиясы", "Партия новых мостов", "New Bridges Party"),
        "#2a9d8f",
        44,
    ),
    Party(
        ("Көк чатырлар альянсы", "Көк шатырлар альянсы", "Альянс синих крыш", "Alliance of Blue Roofs"),
        "#3c4fa0",
        28,
    ),
    Party(
        ("Тынч кыш партиясы", "Тыныш қыс партиясы", "Партия тихой зимы", "Quiet Winter Party"),
        "#5fa8d3",
        17,
    ),
)
AGAINST_ALL_STRENGTH: Final = 19


class Region(NamedTuple):
    """A region, with the words of its districts.

    Attributes:
        code: as in the national identifiers of its areas.
        names: in four languages.
        districts: their names, ready to be shown.
        share: of the country's stations, in thousandths.
        voters: the fewest and the most at an ordinary station.
        type: of its stations, as in stations.csv.
    """

    code: str
    names: Names
    districts: tuple[Names, ...]
    share: int
    voters: tuple[int, int]
    type: str = "ordinary"


def _districts(*words: Names) -> tuple[Names, ...]:
    return tuple(
        (
            DISTRICT[0].format(ky),
            DISTRICT[1].format(kk),
            DISTRICT[2].format(ru),
            DISTRICT[3].format(en),
        )
        for ky, kk, ru, en in words
    )


_TOWN: Final = (900, 2_600)
_LAND: Final = (250, 2_000)

REGIONS: Final = (
    Region(
        "U",
        ("Жогорку өрөөн", "Жоғарғы алқап", "Верхняя Долина", "Upper Valley"),
        _districts(
            ("Карагай", "Қарағай", "Сосновый", "Pine"),
            ("Таштак", "Тасты", "Каменистый", "Stony"),
            ("Бүркүт", "Бүркіт", "Орлиный", "Eagle"),
            ("Кар", "Қар", "Снежный", "Snow"),
            ("Кайың", "Қайың", "Берёзовый", "Birch"),
        ),
        118,
        _LAND,
    ),
    Region(
        "L",
        ("Төмөнкү өрөөн", "Төменгі алқап", "Нижняя Долина", "Lower Valley"),
        _districts(
            ("Дарыя", "Өзен", "Речной", "River"),
            ("Алма", "Алма", "Яблочный", "Apple"),
            ("Тегирмен", "Диірмен", "Мельничный", "Mill"),
            ("Жаңгак", "Жаңғақ", "Ореховый", "Walnut"),
            ("Өрүк", "Өрік", "Абрикосовый", "Apricot"),
            ("Терек", "Терек", "Тополиный", "Poplar"),
        ),
        154,
        _LAND,
    ),
    Region(
        "S",
        ("Көл жээги", "Көл жағасы", "Озёрный Берег", "Lakeshore"),
        _districts(
            ("Камыш", "Қамыс", "Камышовый", "Reed"),
            ("Кайык", "Қайық", "Лодочный", "Boat"),
            ("Ак куу", "Аққу", "Лебединый", "Swan"),
            ("Кум", "Құм", "Песчаный", "Sand"),
        ),
        96,
        _LAND,
    ),
    Region(
        "W",
        ("Ак тоолор", "Ақ таулар", "Белые Горы", "White Mountains"),
        _districts(
            ("Арча", "Арша", "Можжевеловый", "Juniper"),
            ("Муз", "Мұз", "Ледяной", "Ice"),
            ("Күмүш", "Күміс", "Серебряный", "Silver"),
            ("Шумкар", "Сұңқар", "Соколиный", "Falcon"),
        ),
        82,
        _LAND,
    ),
    Region(
        "E",
        ("Чыгыш талаа", "Шығыс дала", "Восточная Степь", "Eastern Steppe"),
        _districts(
            ("Буудай", "Бидай", "Пшеничный", "Wheat"),
            ("Арпа", "Арпа", "Ячменный", "Barley"),
            ("Жылкы", "Жылқы", "Конный", "Horse"),
            ("Турна", "Тырна", "Журавлиный", "Crane"),
            ("Күн", "Күн", "Солнечный", "Sun"),
        ),
        112,
        _LAND,
    ),
    Region(
        "T",
        ("Батыш талаа", "Батыс дала", "Западная Степь", "Western Steppe"),
        _districts(
            ("Шыбак", "Жусан", "Полынный", "Wormwood"),
            ("Төө", "Түйе", "Верблюжий", "Camel"),
            ("Туз", "Тұз", "Соляной", "Salt"),
            ("Шамал", "Жел", "Ветреный", "Wind"),
            ("Түлкү", "Түлкі", "Лисий", "Fox"),
        ),
        104,
        _LAND,
    ),
    Region(
        "H",
        ("Түштүк дөбөлөр", "Оңтүстік төбелер", "Южные Холмы", "Southern Hills"),
        _districts(
            ("Жүзүм", "Жүзім", "Виноградный", "Grape"),
            ("Коон", "Қауын", "Дынный", "Melon"),
            ("Бөдөнө", "Бөдене", "Перепелиный", "Quail"),
            ("Чопо", "Балшық", "Глиняный", "Clay"),
            ("Булак", "Бұлақ", "Родниковый", "Spring"),
            ("Бугу", "Бұғы", "Олений", "Deer"),
        ),
        138,
        _LAND,
    ),
    Region(
        "M",
        ("Ортошаар", "Ортақала", "Среднеград", "Middletown"),
        _districts(
            ("Базар", "Базар", "Базарный", "Bazaar"),
            ("Мунара", "Мұнара", "Башенный", "Tower"),
            ("Бак", "Бақ", "Садовый", "Garden"),
            ("Китеп", "Кітап", "Книжный", "Book"),
            ("Уста", "Ұста", "Кузнечный", "Smithy"),
        ),
        146,
        _TOWN,
    ),
    Region(
        "B",
        ("Көпүрөшаар", "Көпірқала", "Мостоград", "Bridgetown"),
        _districts(
            ("Көпүрө", "Көпір", "Мостовой", "Bridge"),
            ("Дарбаза", "Қақпа", "Воротный", "Gate"),
        ),
        38,
        _TOWN,
    ),
    Region(
        "A",
        ("Чет өлкө", "Шетел", "Зарубежье", "Abroad"),
        (("Элчиликтер", "Елшіліктер", "Посольства", "Embassies"),),
        12,
        (150, 3_000),
        type="abroad",
    ),
)
