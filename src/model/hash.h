#pragma once
/*
 * The pod-template-hash: what tells one revision's ReplicaSet from another's. Equal templates hash equal whatever their key order.
 * Ownership: values.       Threads: any; pure.
 */
#include <jansson.h>

enum { SL_TEMPLATE_HASH_LEN = 10 };

/* Of a PodTemplateSpec; the labels pod-template-hash and rollouts-pod-template-hash in it do not count, nor does what is null or empty. dst gets the hash and a NUL. */
char *sl_template_hash(const json_t *pod_template, char dst[SL_TEMPLATE_HASH_LEN + 1]);
