#!/usr/bin/env bash
# scipy's loadarff reads a missing nominal value (`?`) as the text "?", as if it were a value.
#
# Versions   scipy 1.17.1
# Valid input  an ARFF file whose nominal class is {yes, no} and unknown (`?`) in one row
# Behaviour  a numeric `?` becomes NaN, a nominal one becomes b"?", which the attribute does not
#            declare; a classifier that takes the column as it comes learns a third class.
# Output seen  declared: ('yes', 'no') / met: ['?', 'no', 'yes'] / numeric: nan
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "scipy==1.17.1"
cd "$folder"
printf '%s\n' '@relation r' '@attribute a numeric' '@attribute c {yes,no}' '@data' \
  '1,yes' '2,no' '?,?' > r.arff
"$folder/venv/bin/python" - <<'PYTHON'
from scipy.io.arff import loadarff

data, meta = loadarff("r.arff")
met = sorted({value.decode() for value in data["c"]})
print("declared:", meta["c"][1], "/ met:", met, "/ numeric:", data["a"][2])
assert meta["c"][1] == ("yes", "no")
assert met == ["?", "no", "yes"], met
assert data["a"][2] != data["a"][2]
PYTHON
echo "as stated"
