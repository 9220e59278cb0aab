# client: files of this room
