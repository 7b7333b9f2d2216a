package debugger

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	pieceSize = 1 << 20 // of memory, read at once
	overlap   = 16 << 10
	wordSize  = 8 // of an int64, and its alignment
)

// EachWritable reads the writable memory of a process and shows it to visit piece by
// piece, with its address. Pieces overlap, so that what is shorter than the overlap is
// seen whole. Pages that the process has never touched are left out: there is nothing in them. It returns
// how many bytes there were.
//
// Linux allows this to whoever may debug the process: its own user, where Yama's
// ptrace_scope is 0, and its ancestors, where it is 1.
func EachWritable(ctx context.Context, pid int, visit func(address uint64, data []byte)) (int64, error) {
	areas, err := writable(pid)
	if err != nil {
		return 0, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, fmt.Errorf("the operating system does not let one program read another's memory: %w", err)
	}
	defer memory.Close()
	var total int64
	buffer := make([]byte, pieceSize+overlap)
	for _, area := range areas {
		for at := area.from; at < area.to; at += pieceSize {
			if err := ctx.Err(); err != nil {
				return total, err
			}
			piece := buffer[:min(uint64(len(buffer)), area.to-at)]
			n, err := memory.ReadAt(piece, int64(at))
			if n == 0 && err != nil {
				continue // given back to the operating system meanwhile
			}
			visit(at, piece[:n])
			total += int64(min(n, pieceSize))
		}
	}
	if total == 0 {
		return 0, errors.New("none of the process's memory could be read")
	}
	return total, nil
}

// area is a range of addresses.
type area struct{ from, to uint64 }

// writable lists the private, readable and writable areas of a process: heap, stacks
// and variables.
func writable(pid int) ([]area, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	pages, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return nil, err
	}
	defer pages.Close()
	var areas []area
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var from, to uint64
		var permissions, offset, device string
		var inode uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %d", &from, &to, &permissions, &offset, &device, &inode); err != nil {
			return nil, fmt.Errorf("read the process's memory map: %w", err)
		}
		switch {
		case !strings.HasPrefix(permissions, "rw") || !strings.HasSuffix(permissions, "p"):
		case inode != 0: // pages that were never touched have the file's content
			areas = append(areas, area{from, to})
		default:
			areas = append(areas, touched(pages, area{from, to})...)
		}
	}
	return areas, lines.Err()
}

// touched is what of an area has a page, in memory or swapped out: see the kernel's
// Documentation/admin-guide/mm/pagemap.rst.
func touched(pages *os.File, of area) (areas []area) {
	const inMemory, swapped = 1 << 63, 1 << 62
	size := uint64(os.Getpagesize())
	entries := make([]byte, (of.to-of.from)/size*wordSize)
	if _, err := pages.ReadAt(entries, int64(of.from/size*wordSize)); err != nil {
		return []area{of}
	}
	for at := of.from; at < of.to; at += size {
		if binary.NativeEndian.Uint64(entries[(at-of.from)/size*wordSize:])&(inMemory|swapped) == 0 {
			continue
		}
		if last := len(areas) - 1; last >= 0 && areas[last].to == at {
			areas[last].to = at + size
		} else {
			areas = append(areas, area{at, at + size})
		}
	}
	return areas
}

// holding finds the addresses of a value in a process's writable memory.
func holding(ctx context.Context, pid int, value int64) ([]uint64, error) {
	var addresses []uint64
	next := uint64(0) // pieces overlap
	_, err := EachWritable(ctx, pid, func(address uint64, data []byte) {
		for at := 0; at+wordSize <= len(data); at += wordSize {
			if int64(binary.NativeEndian.Uint64(data[at:])) == value && address+uint64(at) >= next {
				addresses = append(addresses, address+uint64(at))
				next = address + uint64(at) + 1
			}
		}
	})
	return addresses, err
}
