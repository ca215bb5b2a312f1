#pragma once
/* Shared within this folder by what uses OpenSSL. Ownership: none.       Threads: any. */
#include "base/diag.h"

/* SL_ERR_INVALID, with the oldest error of OpenSSL's queue as detail; empties the queue. */
sl_err sl_tls_fail(struct sl_diag *diag, const char *field, const char *what);
/* OpenSSL's password call-back: refuses, where the default would prompt on the terminal. */
int sl_tls_no_password(char *p, int size, int writing, void *user);
