# schemas: files of this room
