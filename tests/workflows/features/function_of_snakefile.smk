# run: functions and constants of the Snakefile

WORDS_OF_FUNCTION = ["x", "y"]
def shout(words):
    return " ".join(words).upper()
rule function_of_snakefile:
    input: "function_of_snakefile/x.txt"
rule function_of_snakefile_write:
    output: "function_of_snakefile/x.txt"
    run:
        import pathlib
        pathlib.Path(output[0]).write_text(shout(WORDS_OF_FUNCTION))
