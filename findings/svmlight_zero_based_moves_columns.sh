#!/usr/bin/env bash
# scikit-learn's load_svmlight_file decides per file whether columns are counted from 0 or from 1.
#
# Versions   scikit-learn 1.7.2
# Valid input  two LIBSVM files of one data set; only the second has a feature with index 0
# Behaviour  with the default zero_based="auto" the feature `3:` is column 2 in the first file and
#            column 3 in the second, and the widths differ; a model trained on one reads other
#            features in the other. load_svmlight_files with both paths agrees, and so does an
#            explicit zero_based with n_features.
# Output seen  train: shape (1, 3), 3: is column 2 / test: shape (1, 4), 3: is column 3
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "scikit-learn==1.7.2"
printf '1 1:0.5 3:7\n' > "$folder/train.svm"
printf '1 0:0.5 3:7\n' > "$folder/test.svm"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from sklearn.datasets import load_svmlight_file, load_svmlight_files

found = {}
for name in ("train", "test"):
    x, _ = load_svmlight_file(f"{name}.svm")
    found[name] = (x.shape, int((x.toarray()[0] == 7).argmax()))
print(" / ".join(f"{n}: shape {s}, 3: is column {c}" for n, (s, c) in found.items()))
assert found == {"train": ((1, 3), 2), "test": ((1, 4), 3)}, found
a, _, b, _ = load_svmlight_files(["train.svm", "test.svm"])
assert a.shape == b.shape == (1, 4), (a.shape, b.shape)
PYTHON
echo "as stated"
