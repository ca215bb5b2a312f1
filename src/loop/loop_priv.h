#pragma once
/* Shared within this folder. Ownership: none.       Threads: any. */

/* Its address stands for "readers have passed a quiescent state", for the thread sanitizer (os/thread.h). */
extern char sl_loop_quiescence;
