/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows pointers through a random cycle with one node in each page: TLB-bound, and each access
 * waits for the one before. The payloads are summed with SSE2 vectors.
 *
 * rounds=400   times that hops= pointers are followed (0: endless)
 * pages=4096   nodes of the cycle
 * hops=0       in each round; 0: eight times around the cycle
 * seed=1       of the cycle and the payloads
 *
 * Each lane follows its share of the pointers, from a place of its own.
 *
 * About 9 instructions a hop. rounds=1 pages=2048 hops=16384: 0.7 million instructions.
 */
#include <emmintrin.h>

#include "lib/processors.h"
#include "lib/runtime.h"

#define PAYLOAD 4 /* vectors of two words */
#define LINE    128ul
#define LINES   (PAGE_SIZE / LINE)

struct node {
	__m128i payload[PAYLOAD];
	struct node *next;
};

static uint64_t rounds = 400, pages = 4096, hops, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 262144},
	{"hops", &hops, 0, UINT64_MAX},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

/* Nodes lie at different places of their pages, or they would all compete for one cache set. */
static struct node *node(uint64_t i)
{
	return (struct node *)(WORK_AREA + i * PAGE_SIZE + i % LINES * LINE);
}

/* Sattolo's shuffle gives a permutation that is a single cycle. Links through the nodes. */
static void link_nodes(struct rng *rng)
{
	for (uint64_t i = 0; i < pages; i++)
		node(i)->next = node(i);
	for (uint64_t i = pages - 1; i > 0; i--) {
		struct node *a = node(i), *b = node((rng_next(rng) >> 16) % i), *swap = a->next;

		a->next = b->next;
		b->next = swap;
	}
}

/* Fills the payloads and returns their sum. */
static uint64_t fill_nodes(struct rng *rng)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < pages; i++) {
		volatile uint64_t *words = (volatile uint64_t *)node(i)->payload;

		for (unsigned j = 0; j < 2 * PAYLOAD; j++) {
			words[j] = rng_next(rng);
			sum += words[j];
		}
	}
	return sum;
}

static const struct node *chase(const struct node *at_node, uint64_t count, uint64_t *sum)
{
	__m128i sums = _mm_setzero_si128();

	while (count--) {
		const __m128i *payload = at_node->payload;

		sums = _mm_add_epi64(sums, _mm_add_epi64(_mm_add_epi64(payload[0], payload[1]),
							 _mm_add_epi64(payload[2], payload[3])));
		at_node = at_node->next;
	}
	sums = _mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums));
	*sum = (uint64_t)_mm_cvtsi128_si64(sums);
	return at_node;
}

static struct lane {
	const struct node *at_node;
	uint64_t sum;
} lanes[LANES];

static void enable(unsigned processor)
{
	(void)processor;
	enable_sse();
}

static void do_round(unsigned lane)
{
	struct lane *l = &lanes[lane];

	l->at_node = chase(l->at_node, lane_share(hops, lane), &l->sum);
}

static bool run(uint64_t *checksum)
{
	uint64_t root = cr3_read(), expected, sum;
	struct rng rng = rng_seed(seed);

	on_processors(enable);
	for (uint64_t i = 0; i < pages; i++)
		map_page(root, WORK_AREA + i * PAGE_SIZE, page_alloc(), PTE_P | PTE_W | PTE_NX);
	link_nodes(&rng);
	expected = fill_nodes(&rng);
	for (unsigned lane = 0; lane < LANES; lane++)
		lanes[lane].at_node = node(lane_first(pages, lane));
	if (hops == 0)
		hops = 8 * pages;
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		run_lanes(do_round);
		for (unsigned lane = 0; lane < LANES; lane++)
			*checksum =
				mix(mix(*checksum, lanes[lane].sum), (uint64_t)lanes[lane].at_node);
	}
	/* Once around is every node once, and back again. */
	return chase(node(0), pages, &sum) == node(0) && sum == expected;
}

const struct guest guest = {"chase", parameters, run, true};
