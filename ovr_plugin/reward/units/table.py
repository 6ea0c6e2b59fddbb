r"""The units of measurement that answers come in: symbols, names and their exact size.

A line of `UNITS` is ``symbols ; prefixes ; sizes ; English names ; Chinese names``. A size is a
number and the base units that it counts; ``@`` puts a temperature's zero behind it, in its own
degrees above absolute zero. A unit that is two things (pound: mass or money) has two sizes. Plurals
end in s unless one follows the slash. Sources: the SI brochure (2019), and NIST Handbook 44 for US
and imperial units.

Each currency is a base unit of its own, as no rate is exact. So are a month, which has no exact
number of days, a cycle (Hz is not rad/s) and whatever else is counted: ``noun:point``.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Dimension = tuple[tuple[str, int], ...]

PREFIXES = {
    "f": (-15, "femto", "飞"), "p": (-12, "pico", "皮"), "n": (-9, "nano", "纳"),
    "µ": (-6, "micro", "微"), "m": (-3, "milli", "毫"), "c": (-2, "centi", "厘"),
    "d": (-1, "deci", "分"), "h": (2, "hecto", "百"), "k": (3, "kilo", "千"),
    "M": (6, "mega", "兆"), "G": (9, "giga", "吉"), "T": (12, "tera", "太"),
}  # fmt: skip

UNITS = """
m ; fpnµmcdk ; 1 m ; metre meter ; 米 公尺
 ; ; 1000 m ; ; 公里
 ; ; 500 m ; ; 里 华里
 ; ; 1/100 m ; ; 公分
ly ; ; 9460730472580800 m ; light_year lightyear ; 光年
au AU ; ; 149597870700 m ; astronomical_unit ; 天文单位
 ; ; 1/1000000 m ; micron ;
Å ; ; 1/10000000000 m ; angstrom ångström ; 埃
in ; ; 127/5000 m ; inch/inches ; 英寸 寸
ft ; ; 381/1250 m ; foot/feet ; 英尺 尺
' ; ; 381/1250 m | 1/10800 rad pi ; ;
" '' ; ; 127/5000 m | 1/648000 rad pi ; ;
yd ; ; 1143/1250 m ; yard ; 码
mi ; ; 201168/125 m ; mile ; 英里
nmi ; ; 1852 m ; nautical_mile sea_mile ; 海里 浬
g ; nµmck ; 1/1000 kg ; gram gramme ; 克
gm ; ; 1/1000 kg ; ;
 ; ; 1 kg ; kilo ; 公斤
 ; ; 1/2 kg ; jin/jin ; 斤 市斤
t ; kM ; 1000 kg ; tonne metric_ton ; 吨 公吨
 ; ; 1000 kg | 45359237/50000 kg | 635029318/625000 kg ; ton ;
lb ; ; 45359237/100000000 kg | 8896443230521/2000000000000 kg m s^-2 ; ; 磅
 ; ; 45359237/100000000 kg | 1 GBP | 8896443230521/2000000000000 kg m s^-2 ; pound ;
oz ; ; 45359237/1600000000 kg | 473176473/16000000000000 m^3 ; ounce ; 盎司
 ; ; 317514659/50000000 kg ; stone/stone ;
s sec ; fpnµm ; 1 s ; ; 秒 秒钟
min ; ; 60 s ; ; 分钟
 ; fpnµm ; 1 s | 1/648000 rad pi ; second ;
 ; ; 60 s | 1/10800 rad pi ; minute ;
 ; ; 60 s | 1/100 CNY | 1 noun:point | 1/10800 rad pi ; ; 分
h hr ; ; 3600 s ; hour ; 小时 个小时 钟头 时
d ; ; 86400 s ; day ; 天 日
wk ; ; 604800 s ; week ; 周 星期 个星期 礼拜
 ; ; 1209600 s ; fortnight ;
mo ; ; 1 month ; month ; 月 个月
yr y ; ; 12 month | 31536000 s ; year ; 年
 ; ; 12 month | 31536000 s ; ; 岁 周岁
 ; ; 120 month ; decade ;
 ; ; 1200 month ; century/centuries ; 世纪
rad ; m ; 1 rad ; radian ; 弧度
° deg ; ; 1/180 rad pi ; degree textdegree ; 掳
 ; ; 1/180 rad pi | 3600000 kg m^2 s^-2 ; ; 度
 ; ; 1/10800 rad pi ; arcminute arc_minute ;
 ; ; 1/648000 rad pi ; arcsecond arc_second ;
rev ; ; 1 cycle | 2 rad pi ; revolution ; 转 圈
sr ; ; 1 sr ; steradian ;
°C ℃ ; ; 1 K @ 27315/100 ; celsius centigrade ; 摄氏度
°F ℉ ; ; 5/9 K @ 45967/100 ; fahrenheit ; 华氏度
K °K ; mµ ; 1 K ; kelvin ; 开尔文
ha ; ; 10000 m^2 ; hectare ; 公顷
 ; ; 316160658/78125 m^2 ; acre ; 英亩
 ; ; 2000/3 m^2 ; ; 亩
L l ; µmcdk ; 1/1000 m^3 ; litre liter ; 升 公升
cc ; ; 1/1000000 m^3 ; ;
gal ; ; 473176473/125000000000 m^3 ; gallon ; 加仑
qt ; ; 473176473/500000000000 m^3 ; quart ;
pt ; ; 473176473/1000000000000 m^3 | 1 noun:point ; pint ; 品脱
 ; ; 473176473/2000000000000 m^3 | 1 noun:cup ; cup ;
 ; ; 473176473/16000000000000 m^3 ; fluid_ounce fl_oz/fl_oz ;
tbsp ; ; 473176473/32000000000000 m^3 ; tablespoon ;
tsp ; ; 157725491/32000000000000 m^3 ; teaspoon ;
mph ; ; 1397/3125 m s^-1 ; ;
kph kmph kmh ; ; 5/18 m s^-1 ; ;
kn ; ; 463/900 m s^-1 ; knot ; 节
fps ; ; 381/1250 m s^-1 | 1 frame s^-1 ; ;
Hz ; kMGT ; 1 cycle s^-1 ; hertz/hertz ; 赫兹 赫
rpm ; ; 1/60 cycle s^-1 | 1/30 rad s^-1 pi ; ;
N ; mµkM ; 1 kg m s^-2 ; newton ; 牛顿 牛
Nm ; mkM ; 1 kg m^2 s^-2 ; ;
Ns ; ; 1 kg m s^-1 ; ;
dyn ; ; 1/100000 kg m s^-2 ; dyne ; 达因
lbf ; ; 8896443230521/2000000000000 kg m s^-2 ; pound_force pounds_force ;
kgf ; ; 196133/20000 kg m s^-2 ; ; 千克力
J ; mµkMG ; 1 kg m^2 s^-2 ; joule ; 焦耳 焦
Wh ; mkMG ; 3600 kg m^2 s^-2 ; watt_hour watthour ; 瓦时 瓦特小时
cal ; k ; 523/125 kg m^2 s^-2 ; calorie ; 卡路里 卡
Cal ; ; 4184 kg m^2 s^-2 ; ; 大卡
eV ; mkMGT ; 801088317/5000000000000000000000000000 kg m^2 s^-2 ; electron_volt ; 电子伏
erg ; ; 1/10000000 kg m^2 s^-2 ; ;
BTU Btu ; ; 52752792631/50000000 kg m^2 s^-2 ; ;
W ; fpnµmkMGT ; 1 kg m^2 s^-3 ; watt ; 瓦特 瓦
hp ; ; 37284993579113511/50000000000000 kg m^2 s^-3 ; horsepower/horsepower ; 马力
Pa ; mhkMG ; 1 kg m^-1 s^-2 ; pascal ; 帕斯卡 帕
bar ; m ; 100000 kg m^-1 s^-2 ; ; 巴
atm ; ; 101325 kg m^-1 s^-2 ; atmosphere ; 标准大气压 大气压
mmHg ; ; 26664477483/200000000 kg m^-1 s^-2 ; ; 毫米汞柱
Torr torr ; ; 20265/152 kg m^-1 s^-2 ; ;
psi ; ; 8896443230521/1290320000 kg m^-1 s^-2 ; ;
A ; nµmk ; 1 A ; ampere amp ; 安培 安
Ah ; m ; 3600 A s ; ;
VA ; k ; 1 kg m^2 s^-3 ; ;
C ; nµm ; 1 A s | 1 K @ 27315/100 ; coulomb ; 库仑 库
V ; nµmkM ; 1 kg m^2 s^-3 A^-1 ; volt ; 伏特 伏
Ω ; µmkMG ; 1 kg m^2 s^-3 A^-2 ; ohm ; 欧姆 欧
F ; fpnµm ; 1 kg^-1 m^-2 s^4 A^2 | 5/9 K @ 45967/100 ; farad ; 法拉
H ; nµm ; 1 kg m^2 s^-2 A^-2 ; henry/henries ; 亨利
T ; nµm ; 1 kg s^-2 A^-1 | 1000 kg ; tesla ; 特斯拉
Wb ; m ; 1 kg m^2 s^-2 A^-1 ; weber ; 韦伯
S ; µm ; 1 kg^-1 m^-2 s^3 A^2 ; siemens/siemens ; 西门子
mol ; fpnµmk ; 1 mol ; mole ; 摩尔
M ; nµm ; 1000 mol m^-3 ; molar/molar ;
cd ; m ; 1 cd ; candela ; 坎德拉
lm ; ; 1 cd sr ; lumen ; 流明
lx lux ; k ; 1 cd sr m^-2 ; ; 勒克斯
Bq ; kMG ; 1 s^-1 ; becquerel ;
Gy ; m ; 1 m^2 s^-2 ; gray ;
Sv ; mµ ; 1 m^2 s^-2 ; sievert ;
dB ; ; 1 dB ; decibel ; 分贝
b ; kMGT ; 1 bit ; bit ; 比特
B ; ; 8 bit ; byte ; 字节
KB kB ; ; 8000 bit | 8192 bit ; kilobyte ; 千字节
MB ; ; 8000000 bit | 8388608 bit ; megabyte ; 兆字节
GB ; ; 8000000000 bit | 8589934592 bit ; gigabyte ;
TB ; ; 8000000000000 bit | 8796093022208 bit ; terabyte ;
bps ; kMG ; 1 bit s^-1 ; ;
$ US$ USD ; ; 1 USD ; dollar us_dollar buck ; 美元 美金
€ EUR ; ; 1 EUR ; euro ; 欧元
£ GBP ; ; 1 GBP ; british_pound pounds_sterling ; 英镑
¥ ; ; 1 CNY | 1 JPY ; ;
CNY RMB ; ; 1 CNY ; yuan/yuan renminbi/renminbi ; 元 块 块钱 元钱 人民币 圆
 ; ; 1/10 CNY ; jiao/jiao ; 角 毛
JPY ; ; 1 JPY ; yen/yen ; 日元
₹ Rs INR ; ; 1 INR ; rupee ; 卢比
₩ KRW ; ; 1 KRW ; won/won ; 韩元
₽ RUB ; ; 1 RUB ; ruble rouble ; 卢布
HKD HK$ ; ; 1 HKD ; ; 港元 港币
AUD A$ ; ; 1 AUD ; ;
CAD C$ ; ; 1 CAD ; ;
CHF ; ; 1 CHF ; swiss_franc ; 瑞士法郎
¢ ; ; 1/100 USD | 1/100 EUR ; cent ; 美分
 ; ; 1/100 GBP ; penny/pence ; 便士
 ; ; 1/100 INR ; paisa/paise ;
 ; ; 1 noun:unit ; unit ; 单位 个 個 个单位
"""


ANY = "noun:unit"  # any unit, without saying which


class Size(NamedTuple):
    """What a unit may be.

    Attributes:
        dimension: base units and their powers, sorted.
        scale: how many of these the unit is, times pi to the ``pi``.
        pi: 1 for degrees of angle, as the base is the radian.
        zero: what a temperature's zero is above absolute zero, in its own degrees.
    """

    dimension: Dimension
    scale: Fraction = Fraction(1)
    pi: int = 0
    zero: Fraction = Fraction(0)


Sizes = tuple[Size, ...]


class Table(NamedTuple):
    """All units, prefixed and in the plural too: by symbol (case counts), English, Chinese name."""

    symbols: dict[str, Sizes]
    names: dict[str, Sizes]
    chinese: dict[str, Sizes]


@lru_cache(maxsize=1)
def table() -> Table:
    """Build the table; a few milliseconds, once."""
    built = Table({}, {}, {})
    for line in UNITS.strip().splitlines():
        symbols, prefixes, sizes_text, names, chinese = line.split(";")
        sizes = tuple(map(_size, sizes_text.split("|")))
        spelled = [form.replace("_", " ") for name in names.split() for form in _numbers(name)]
        columns = (symbols.split(), spelled, chinese.split())
        for units, words in zip(built, columns, strict=True):
            for word in words:
                units.setdefault(word, sizes)
        for prefix in prefixes.strip():
            power, english, character = PREFIXES[prefix]
            larger = (sizes[0]._replace(scale=sizes[0].scale * Fraction(10) ** power),)
            for units, words, start in zip(
                built, columns, (prefix, english, character), strict=True
            ):
                for word in words:
                    units.setdefault(start + word, larger)
    for name, sizes in list(built.chinese.items()):
        if all(size.dimension in _SHAPED for size in sizes):
            for shape, power in SHAPES.items():
                built.chinese.setdefault(shape + name, tuple(raised(size, power) for size in sizes))
    return built


_SHAPED: tuple[Dimension, ...] = ((("m", 1),), ((ANY, 1),))
SHAPES = {"平方": 2, "立方": 3}


def raised(size: Size, power: int) -> Size:
    """Return ``size`` to a power: of temperatures, their differences."""
    dimension = tuple((base, exponent * power) for base, exponent in size.dimension)
    zero = size.zero if power == 1 else Fraction(0)
    return Size(dimension, size.scale**power, size.pi * power, zero)


def noun_size(noun: str) -> Size:
    """Return the size of a thing counted."""
    return Size(((f"noun:{noun}", 1),))


def times(sizes: Sizes) -> Size:
    """Return the unit that several make together."""
    if len(sizes) == 1:
        return sizes[0]
    powers: dict[str, int] = {}
    scale, pi = Fraction(1), 0
    for size in sizes:
        scale, pi = scale * size.scale, pi + size.pi
        for base, power in size.dimension:
            powers[base] = powers.get(base, 0) + power
    return Size(_dimension(powers), scale, pi)


def _dimension(powers: dict[str, int]) -> Dimension:
    return tuple(sorted((base, power) for base, power in powers.items() if power))


def _size(text: str) -> Size:
    text, _, zero = text.partition("@")
    scale, *bases = text.split()
    powers: dict[str, int] = {}
    for base in bases:
        name, _, power = base.partition("^")
        powers[name] = int(power or 1)
    pi = powers.pop("pi", 0)
    return Size(_dimension(powers), Fraction(scale), pi, Fraction(zero.strip() or 0))


def _numbers(name: str) -> tuple[str, str]:
    singular, _, plural = name.partition("/")
    return singular, plural or singular + "s"
