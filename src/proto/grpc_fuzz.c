/* A byte stream of gRPC frames: cut anywhere it gives the same messages and the same end. */
#include "proto/grpc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The messages joined, each behind its prefix, and how it ended. */
static sl_err run(sl_str in, size_t step, struct sl_buf *out)
{
	struct sl_grpc_deframer d = { .most_bytes = 1000 };
	sl_err err = SL_ERR_AGAIN;
	sl_str message;

	for (size_t at = 0; at < in.len && err == SL_ERR_AGAIN; at += step) {
		sl_grpc_deframer_feed(&d, sl_str_first(sl_str_skip(in, at), step));
		while ((err = sl_grpc_deframer_next(&d, &message)) == SL_OK) {
			uint8_t prefix[SL_GRPC_PREFIX_BYTES];

			sl_grpc_prefix(prefix, message.len);
			sl_buf_add(out, prefix, sizeof(prefix));
			sl_buf_str_add(out, message);
		}
	}
	sl_grpc_deframer_fini(&d);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf whole = { 0 }, cut = { 0 }, text = { 0 }, back = { 0 };
	sl_str in = sl_str_n((const char *)bytes, size);
	sl_nsec timeout;

	if (run(in, size + 1, &whole) != run(in, 1, &cut) || !sl_str_eq(sl_buf_str(&whole), sl_buf_str(&cut)))
		abort();
	if (!sl_str_eq(sl_buf_str(&whole),
	            sl_str_first(in, sl_buf_size(&whole)))) /* what was taken is what was there */
		abort();
	sl_grpc_message_encode(in, &text);
	sl_grpc_message_decode(sl_buf_str(&text), &back);
	if (!sl_str_eq(in, sl_buf_str(&back)))
		abort();
	if (sl_grpc_timeout_parse(in, &timeout) == SL_OK && timeout < 0)
		abort();
	return 0;
}
