cat "${snakemake_input[0]}" > "${snakemake_output[0]}"
echo "${snakemake_wildcards[s]} ${snakemake_params[text]}" >> "${snakemake_output[0]}"
