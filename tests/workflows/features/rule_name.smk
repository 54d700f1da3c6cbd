# Rules: name:, and unnamed rules

rule rule_name:
    input: "rule_name/a.txt", "rule_name/b.txt", "rule_name/c.txt"
for letter_of_rule_name in "ab":
    rule:
        name: f"rule_name_{letter_of_rule_name}"
        output: f"rule_name/{letter_of_rule_name}.txt"
        params: letter=letter_of_rule_name
        shell: "echo {params.letter} > {output}"
rule:
    output: "rule_name/c.txt"
    shell: "echo c > {output}"
