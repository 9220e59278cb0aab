# docs: pages that belong to no single room; the others are listed in theirs.
EXTRA_DIST += \
	docs/cpu.md \
	docs/kvm.md \
	docs/make-picture \
	docs/make-table \
	docs/paging.md \
	docs/policy.md \
	docs/umbra.svg
