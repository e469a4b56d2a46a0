#!/usr/bin/env python3
"""What CPython's configparser makes of the cases below.

Run it after adding a case: `python3 tests/golden/ini/oracle.py > tests/golden/ini/cases.json`.
The tests read cases.json and need no Python. An answer is the sections with all their items,
or the name of the error with its line where Python knows one. Repeated sections are merged, as
they are when gaffer read several files into one parser.
"""

import configparser
import json

CASES = {
    "the documented file": """[gaffer]
bind = 127.0.0.1:5000
lookupd_address =

[webhooks]
job.default.web.spawn: http://localhost:8080/hook?a=b
. = http://localhost/all

[process:web]
cmd = /usr/bin/gunicorn -w 3 app:main --bind=:8000
numprocesses = 2
flapping = 2, 1., 7., 5
redirect_output = out err

[env:web]
PATH = /usr/bin:/bin
""",
    "first delimiter splits": "[a]\nb = c : d\ne : f = g\nh=:i\nj:=k\nl==m\n",
    "blanks around delimiters": "[a]\nb=c\nd =  e\n f\t:\tg  \n",
    "keys are lower case": "[a]\nAbC = 1\nÄÖ = 2\nİ = 3\n",
    "keys with blanks": "[a]\nsome key = 1\nother  key: 2\n",
    "section names as written": "[ A b ]\nc = 1\n[job:Web.Site/x]\nd = 2\n[node \"http://[::1]:5000\"]\nkey = 3\n",
    "comments": "# a\n; b\n[s]\n# c = 1\n  ; d = 2\n\t# e\nf = 3\n#g = 4\n",
    "no inline comments": "[s]\na = b ; c\nd = e # f\ng = # h\ni = ;j\n",
    "continuation": "[s]\na = b\n  c\n\td\n e\nf = g\n",
    "continuation that looks like more": "[s]\na = b\n  c = d\n  [e]\n  f: g\nh = i\n",
    "continuation of nothing": "[s]\na =\n  b\n  c\n",
    "continuation of an indented key": "[s]\n  a = b\n    c\n  d = e\n f = g\n",
    "continuation stops at a header": "[s]\na = b\n[t]\n  c = d\n  e = f\n",
    "indented header after a deeper key": "[s]\n    a = b\n  [t]\n  c = d\n",
    "comments in a continuation": "[s]\na = b\n  # no\n  c\n; no\n  d\n",
    "blank lines in a value": "[s]\na = b\n\n  c\n\n\n  d\n\ne = f\n",
    "blank line and comment in a value": "[s]\na = b\n\n# no\n\n  c\n\n",
    "blank lines after a header": "[s]\n\n\n   a = b\n",
    "tabs count one": "[s]\n a = b\n\tc = d\n\t e\n",
    "empty values": "[s]\na =\nb:\nc = \n\nd=\n",
    "percent": "[s]\na = 100%%\nb = %%(c)s\nd = %%%%\n",
    "interpolation": "[s]\nroot = /srv\ncmd = %(root)s/bin/x --at %(ROOT)s\n",
    "interpolation of interpolation": "[s]\na = %(b)s!\nb = %(c)s?\nc = 1%%\n",
    "interpolation over lines": "[s]\na = 1\n  2\nb = x %(a)s y\n  %(a)s\n",
    "interpolation of an odd key": "[s]\na b:1\nc = %(a b)s\nd = %(A B)s\n",
    "interpolated percent stays": "[s]\na = 50%%\nb = %(a)s %(a)s\n",
    "defaults": "[DEFAULT]\na = 1\nb = 2\n[s]\nB = 3\nc = %(a)s%(b)s\n[t]\n",
    "defaults at the end": "[s]\nc = %(a)s\n[DEFAULT]\na = %(b)s\nb = 2\n",
    "defaults see the section": "[DEFAULT]\ncmd = run %(name)s\n[s]\nname = x\n[t]\nname = y\n",
    "default is only upper case": "[default]\na = 1\n[s]\nb = 2\n",
    "defaults twice": "[DEFAULT]\na = 1\n[s]\n[DEFAULT]\nb = 2\n",
    "merged sections": "[s]\na = 1\n[t]\nb = 2\n[s]\nc = 3\n",
    "CRLF": "[s]\r\na = 1\r\n  2\r\n\r\nb = 3\r\n; c\r\n",
    "no final newline": "[s]\na = 1",
    "no final newline in a continuation": "[s]\na = 1\n  2",
    "byte order mark": "\ufeff[s]\na = 1\n",
    "empty file": "",
    "only comments": "# a\n\n; b\n",
    "empty section": "[s]\n",
    "backslashes and quotes": "[s]\na = C:\\temp\\new\nb = \"x\" 'y'\nc = \\\n",
    "json value": "[s]\na = {\"b\": [1, 2],\n  \"c\": 3}\n",
    "deep enough": "[s]\n" + "".join(f"k{n} = %(k{n + 1})s\n" for n in range(1, 10)) + "k10 = %%\n",
    "too deep": "[s]\n" + "".join(f"k{n} = %(k{n + 1})s\n" for n in range(1, 11)) + "k11 = %%\n",
    "circle": "[s]\na = %(b)s\nb = %(a)s\n",
    "no section": "a = 1\n",
    "comment, then no section": "# x\n\na = 1\n",
    "no value": "[s]\na = 1\nb\n",
    "no key": "[s]\n\n= 1\n",
    "header without end": "[s]\na = 1\n[t\n",
    "header without name": "[]\n",
    "unknown reference": "[s]\na = %(b)s\n",
    "lone percent": "[s]\na = 5% of b\n",
    "percent at the end": "[s]\na = 5%\n",
    "reference without s": "[s]\na = 1\nb = %(a)d\n",
    "reference without end": "[s]\na = 1\nb = %(a\n",
    "reference to nothing": "[s]\na = %()s\n",
}


def answer(text):
    parser = configparser.ConfigParser(strict=False)
    try:
        # Files with a mark are opened with the codec that takes it away.
        parser.read_string(text.removeprefix("\ufeff"))
        return {"sections": [[name, sorted(parser.items(name))] for name in parser.sections()]}
    except configparser.Error as error:
        lines = [line for line, _ in getattr(error, "errors", [])]
        line = lines[0] if lines else getattr(error, "lineno", None)
        return {"error": type(error).__name__, "line": line}


def main():
    cases = [{"name": name, "text": text, **answer(text)} for name, text in CASES.items()]
    print("[")
    print(",\n".join(json.dumps(case, ensure_ascii=True) for case in cases))
    print("]")


if __name__ == "__main__":
    main()
