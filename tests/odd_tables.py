"""CSV and TSV files that are odd and sound: whatever does not read them as Python's `csv` does changes the data."""

import csv
import io
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class OddTable:
    """A file, and what Python's `csv` needs to know to read it."""

    name: str
    content: bytes
    separator: str = ","
    encoding: str = "utf-8"

    def cells(self) -> list[dict[str, str | None]]:
        """The rows as Python's `csv` reads them, an empty cell as None."""
        text = self.content.decode("utf-8-sig" if self.encoding == "utf-8" else self.encoding)
        csv.field_size_limit(1 << 24)
        text = text.removeprefix("\ufeff")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=self.separator) if row]
        return [{name: cell or None for name, cell in zip(rows[0], row, strict=True)} for row in rows[1:]]


def _table(text: str, separator: str = ",", name: str = "rows.csv", encoding: str = "utf-8") -> OddTable:
    return OddTable(name, text.encode(encoding), separator, encoding)


def _late_change() -> str:
    rows = [f"{number},row {number}" for number in range(10_010)]
    rows += [f"X{number},row {number}" for number in range(10_010, 20_000)]
    return "code,words\n" + "\n".join(rows) + "\n"


def _drawn() -> str:
    draw = random.Random(7)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["a", "b", "c"])
    parts = ["null", "NA", "007", "1e5", '"', ",", ";", "\t", "\n", "\r\n", "'", " ", "ä", "🤗", "\u2028", "x", "\\"]
    writer.writerows(["".join(draw.choices(parts, k=draw.randint(0, 6))) for _ in range(3)] for _ in range(300))
    return text.getvalue()


ODD_TABLES = {
    "words that look like null": _table(
        "a,b\nnull,1\nNA,2\nNone,3\nnan,4\nNaN,5\nN/A,6\nn/a,7\nNULL,8\n<NA>,9\n-nan,10\n"
    ),
    "more words that look like null": _table("a,b\n#N/A,1\n-1.#IND,2\n1.#QNAN,3\n-NaN,4\n#NA,5\n1.#IND,6\n"),
    "an optional input of null": _table("instruction,input,output\nSay it,null,one\nSay that,,two\nSay,NA,three\n"),
    "codes with zeros": _table("code,words\n00001,one\n00002,two\n0,zero\n-0,minus\n"),
    "codes with zeros after many without": _table(
        "code,words\n" + "".join(f"{number},w{number}\n" for number in range(1, 3001)) + "00001,last\n"
    ),
    "one empty cell among years": _table("year,words\n1900,a\n,b\n1901,c\n2000,d\n"),
    "a column that is empty": _table("a,b,c\n1,,x\n2,,y\n3,,z\n"),
    "long digits": _table("n,w\n123456789012345678901234567890,a\n9007199254740993,b\n18446744073709551616,c\n"),
    "fractions as they are written": _table(
        "n,w\n1.10,a\n1.0,b\n.5,c\n1e5,d\n0.1000000000000000055,e\n1E400,f\n+1,g\n"
    ),
    "true and false": _table("x,w\ntrue,a\nTrue,b\nFALSE,c\nyes,d\n"),
    "dates": _table("d,w\n2024-01-01,a\n01/02/03,b\n2024-01-01T00:00:00Z,c\n12:30,d\n"),
    "infinities": _table("x,w\ninf,a\n-Infinity,b\nNaN,c\n"),
    "thousands and percents": _table('x,w\n"1,000",a\n50%,b\n$5,c\n1_000,d\n0x1F,e\n'),
    "numeric completions": _table('prompt,completion\n"What is 2 plus 2?",4\nAnd 3?,6\n'),
    "line ends in cells": _table('a,b\n"one\ntwo",x\n"one\r\ntwo",y\n"one\rtwo",z\n'),
    "blank lines in cells": _table('a,b\n"one\n\n\ntwo",x\n'),
    "lines that end in CR LF": _table("a,b\r\n1,x\r\n2,y\r\n"),
    "lines that end in CR": _table("a,b\r1,x\r2,y\r"),
    "mixed line ends": _table("a,b\n1,x\r\n2,y\r3,z"),
    "no line end at the end": _table("a,b\n1,x\n2,y"),
    "blank lines": _table("\n\na,b\n\n1,x\n\n\n2,y\n\n"),
    "quotes within quotes": _table('a,b\n"He said ""yes"".",x\n"""",y\n""" """,z\n'),
    "a quote within a word": _table('a,b\n5" pipe,x\nit\'s "so",y\n'),
    "text after a quote": _table('a,b\n"one"two,x\n"one" ,y\n'),
    "everything quoted": _table('"a","b"\n"1","x"\n"","y"\n"null","z"\n'),
    "separators in quotes": _table('a,b\n"1,2;3\t4",x\n"5, 6",y\n'),
    "spaces around cells": _table("a,b\n 1 , x \n  ,y\n\t2,z\n"),
    "semicolons": _table("prompt;completion\nOne, two;three\nFour;five, six\n", ";"),
    "semicolons with commas as decimal points": _table("w;n\na;1,5\nb;2,25\nc;1.000,5\n", ";"),
    "tabs": _table("a\tb\n1,2\tx\n3;4\ty\n", "\t"),
    "tabs by name": _table("a\tb\n1\tx\n\ty\n", "\t", "rows.tsv"),
    "commas under the name of tabs": _table("a,b\n1,x\n2,y\n", ",", "rows.tsv"),
    "a comma in a header of semicolons": _table('w;"c, d";n\na;b;1\nc;d;2\n', ";"),
    "a semicolon in every row": _table("a,b;c\n1,x;y\n2,z;w\n"),
    "one column": _table("text\nOne.\nTwo; three.\n"),
    "one column of quoted texts": _table('text\n"One, two."\n"Three\nfour."\n'),
    "a mark of UTF-8": _table("\ufeffa,b\n1,x\n"),
    "a mark of UTF-8 before a quote": _table('\ufeff"a","b"\n1,x\n'),
    "characters of many planes": _table("a,b\n你好,Ünï\n🤗,\U0010ffff\n\u2028,\u0085\ne\u0301,\x1c\n"),
    "NUL characters": _table("a,b\n1,x\ny\0z,2\n"),
    "a long cell": _table("a,b\n1," + "x" * 300_000 + "\n2,y\n"),
    "a long cell before semicolons": _table("a;b\n" + "x, y" * 50_000 + ";1\n2;y\n", ";"),
    "many columns": _table(",".join(f"c{n}" for n in range(300)) + "\n" + ",".join(map(str, range(300))) + "\n"),
    "backslashes": _table('a,b\n\\N,x\n"\\""",y\n\\,z\n'),
    "comments that are none": _table("a,b\n#1,x\n# two,y\n"),
    "formulas": _table("a,b\n=1+1,x\n@SUM,y\n-1,z\n"),
    "Latin-1": _table("a,b\nCaf\xe9,x\n", encoding="latin-1"),
    "GBK": _table("a,b\n你好,世界\n", encoding="gbk"),
    "UTF-16": _table("a,b\n你好,null\n", encoding="utf-16"),
    "UTF-16 without a mark": _table("a,b\n\xe4,00001\n", encoding="utf-16-le"),
    "UTF-16 of a named order with a mark": _table("\ufeffa,b\n\xe4,1\n", encoding="utf-16-be"),
    "drawn cells": _table(_drawn()),
    "20,000 rows whose type changes": _table(_late_change()),
}
