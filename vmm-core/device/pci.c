/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/pci.h"

/* Bits 30 ... 24 and 1 ... 0 are reserved and read 0. */
#define CONFIG_ADDRESS_WRITABLE 0x80fffffcu

void pci_init(struct pci *pci)
{
	pci->address = 0;
}

uint32_t pci_address_in(const struct pci *pci)
{
	return pci->address;
}

void pci_address_out(struct pci *pci, uint32_t value)
{
	pci->address = value & CONFIG_ADDRESS_WRITABLE;
}

uint32_t pci_data_in(const struct pci *pci)
{
	return UINT32_MAX;
}
