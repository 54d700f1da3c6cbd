# Python in Snakefiles: f-strings, comprehensions and match

rule strings:
    input: [f"strings/{letter}{number:02d}.txt" for letter in "xy" for number in (1, 2)]
match len("abc"):
    case 3:
        rule strings_write:
            output: "strings/{name}.txt"
            params: text=f"{'nested'!s:>8}{{}}"
            shell: "echo {params.text:q} {wildcards.name} > {output}"
