"""Scripts lose comments and spaces and nothing else; browser tests run what is left."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from isogloss.engine.drawing import page_script

SCRIPTS = sorted((pathlib.Path(page_script.__file__).parents[1]).glob("*/*.js"))
DENO = shutil.which("deno", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
SOURCE = r"""// First words.
const some = (a, b) => ({ a, b, text: "a  =  b // no comment" }); // a comment
const words = `a  ${some(1, 2).text} ${a ? `${b}  %` : "  }`"} \` $ {`;
let x = a + +b - -c / d / 2, y = x++ + ++x;
if (/[ /"]  x/.test(x)) return / \//g.exec(y);
else for (const each of [1, 2]) await new Thing(each);
const z = (x) / 2 / y, at = x in y;
"""
BARE = (
    r"""const some=(a,b)=>({a,b,text:"a  =  b // no comment"});"""
    r"""const words=`a  ${some(1, 2).text} ${a ? `${b}  %` : "  }`"} \` $ {`;"""
    r"""let x=a+ +b- -c/d/2,y=x++ + ++x;"""
    r"""if(/[ /"]  x/.test(x))return/ \//g.exec(y);"""
    r"""else for(const each of[1,2])await new Thing(each);"""
    r"""const z=(x)/2/y,at=x in y;"""
)


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.js"
        path.write_text(text, "utf-8")
        return path

    return write


def test_only_what_means_nothing_is_left_out(written):
    assert page_script.bare(written(SOURCE)) == BARE
    assert page_script.bare(written("a = /b/ in c;")) == "a=/b/ in c;"
    assert page_script.bare(written("a = b;\n"), written("// c\nd();")) == "a=b;d();"


@pytest.mark.parametrize(
    "text",
    [
        "const a = `${`${`x`}`}`;",
        'const a = "b;\n',
        "const a = `b;\n",
        "const y = x++ / 2; // half\nfoo();",
        "if (a) /[ ]  b/.exec(c);",
        "a = typeof / a  b/;",
    ],
)
def test_what_is_not_known_is_refused(written, text):
    with pytest.raises(ValueError, match="not known in a script"):
        page_script.bare(written(text))


def test_scripts_of_the_pages_are_shorter_and_end_no_element():
    made = page_script.bare(*SCRIPTS)
    assert len(made) < 0.9 * sum(len(path.read_text("utf-8")) for path in SCRIPTS)
    assert not re.search("</script|<!--", made)


@pytest.mark.skipif(
    DENO is None, reason="Deno, which reads scripts as a browser does, is in extra `check` only"
)
def test_scripts_are_still_scripts(written, tmp_path):
    files = [str(written(page_script.bare(path))) for path in SCRIPTS]
    subprocess.run(
        [DENO, "fmt", "--quiet", "--no-config", *files], check=True, env={"DENO_NO_UPDATE_CHECK": "1"}
    )
