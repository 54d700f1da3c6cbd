# Continuously updated input: from_queue()

import queue as queue_of_from_queue, threading as threading_of_from_queue
QUEUE_OF_FROM_QUEUE = queue_of_from_queue.Queue()
END_OF_FROM_QUEUE = object()
def fill_of_from_queue():
    for item in ("from_queue/a.txt", "from_queue/b.txt", END_OF_FROM_QUEUE):
        QUEUE_OF_FROM_QUEUE.put(item)
threading_of_from_queue.Thread(target=fill_of_from_queue, daemon=True).start()
rule from_queue:
    input: from_queue(QUEUE_OF_FROM_QUEUE, finish_sentinel=END_OF_FROM_QUEUE)
rule from_queue_write:
    output: "from_queue/{s}.txt"
    shell: "echo {wildcards.s} > {output}"
