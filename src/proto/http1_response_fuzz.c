/* Response heads: the first byte chooses the request's method. Properties: as http1_request, and the framing rules of RFC 9112 section 6.3. */
#include "proto/http1_fuzz_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct sl_http1_head h;
	const char *p = (const char *)bytes + 1;
	enum sl_method to;
	bool none, tunnel;

	if (!size)
		return 0;
	to = (enum sl_method)(bytes[0] % SL_METHOD_COUNT);
	if (fuzz_parse(&h, p, size - 1, FUZZ_RESPONSE, to) != SL_OK)
		return 0;
	FUZZ_CHECK(h.status >= 100 && h.status <= 999);
	tunnel = h.status == 101 || (to == SL_METHOD_CONNECT && h.status / 100 == 2);
	none = to == SL_METHOD_HEAD || h.status / 100 == 1 || h.status == 204 || h.status == 304;
	FUZZ_CHECK((h.framing == SL_HTTP1_TUNNEL) == tunnel);
	FUZZ_CHECK(tunnel || !none || h.framing == SL_HTTP1_NONE);
	FUZZ_CHECK(h.framing != SL_HTTP1_UNTIL_CLOSE || !h.keep_alive);
	FUZZ_CHECK(h.framing != SL_HTTP1_LENGTH || h.content_length > 0);
	FUZZ_CHECK(tunnel ||
	           !(sl_http1_has(&h, SL_HDR_CONTENT_LENGTH) && sl_http1_has(&h, SL_HDR_TRANSFER_ENCODING)));
	return 0;
}
