"""What an image says it has, against what a workflow needs."""

import pytest

from snakemake.azure.image.contents import PACKAGES, TOOLS, Contents, Need, lacking, measured

PANDAS = Need(
    "the Python package pandas",
    "Snakefile imports pandas",
    "RUN pip install pandas==3.0",
    frozenset({"pandas"}),
)
CONDA = Need("conda", "for rule a", "COPY --from=x /opt/conda /opt/conda", program="conda")
LABELS = {PACKAGES: "snakemake==9.27.1+azbatch.1 PyYAML==6.0.4", TOOLS: "bash git"}
OURS = [{"created_by": "RUN true"}, {"created_by": f"LABEL {PACKAGES}=...", "empty_layer": True}]
CMD = {"created_by": "CMD []", "empty_layer": True}


@pytest.mark.parametrize(
    "labels, history, need, verdict",
    [
        (LABELS, [*OURS, CMD], PANDAS, "lacks"),
        (LABELS, [*OURS, CMD], CONDA, "lacks"),
        ({**LABELS, PACKAGES: "Pandas==3.0"}, OURS, PANDAS, "has"),
        ({**LABELS, TOOLS: "conda"}, OURS, CONDA, "has"),
        ({}, OURS, PANDAS, "has"),
        ({PACKAGES: LABELS[PACKAGES]}, OURS, CONDA, "has"),
        (LABELS, [*OURS, {"created_by": "RUN pip install -r requirements.txt"}], PANDAS, "may lack"),
        (LABELS, [*OURS, {"created_by": "RUN |0 /bin/sh -c pip install Pandas # buildkit"}], PANDAS, "has"),
        (LABELS, [*OURS, {"created_by": "RUN pip install pandas"}, *OURS], PANDAS, "lacks"),
        (LABELS, [], PANDAS, "may lack"),
    ],
)  # fmt: skip
def test_what_it_lacks(labels, history, need, verdict):
    lacks, may_lack = lacking("example.org/x:1", Contents.of(labels, history), [need])
    assert (lacks is not None, may_lack is not None) == (verdict == "lacks", verdict == "may lack")
    for sentence in filter(None, (lacks, may_lack)):
        assert "--container-image example.org/x:1" in sentence and need.line in sentence


def test_all_in_one_sentence():
    said, _ = lacking("x:1", Contents.of(LABELS, OURS), [PANDAS, CONDA])
    assert said is not None and "FROM x:1" in said and PANDAS.what in said and CONDA.line in said


def test_what_is_measured_fits_into_labels():
    labels = measured()
    assert "snakemake==" in labels[PACKAGES] and "bash" in labels[TOOLS].split()
    assert all(len(value) < 8_000 and '"' not in value for value in labels.values())
