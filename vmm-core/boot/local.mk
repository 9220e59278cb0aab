# vmm-core/boot: files of this room
