# Template rendering by jinja2 and yte

rule template:
    input: "template/x.txt", "template/y.yaml"
rule template_jinja:
    input: "in/template.jinja"
    output: "template/x.txt"
    params: names=["a", "b"]
    template_engine: "jinja2"
rule template_yte:
    input: "in/template.yte"
    output: "template/y.yaml"
    params: names=["a", "b"]
    template_engine: "yte"
