word <- readLines(snakemake@input[["named"]])
said <- c(
  word,
  snakemake@wildcards[["s"]],
  paste(unlist(snakemake@params[["numbers"]]), collapse = " "),
  snakemake@params[["text"]],
  as.character(snakemake@params[["nested"]][["a"]]),
  as.character(snakemake@threads)
)
writeLines(said, snakemake@output[[1]])
