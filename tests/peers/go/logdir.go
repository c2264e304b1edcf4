package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// tileHeight is the height that C2SP tlog-tiles fixes; tlog's own paths name it, those of tlog-tiles do not.
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	// maxEntry is the largest statement in bytes (docs/packet.md).
	maxEntry = 16384
)

// tilePath maps tlog's tile/8/<L>/<N> (level -1: data) to tlog-tiles' tile/<L>/<N> (tile/entries/<N>).
func tilePath(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	if strings.HasPrefix(rest, "data/") {
		rest = "entries/" + strings.TrimPrefix(rest, "data/")
	}
	return "tile/" + rest
}

// parseTilePath is the inverse of tilePath.
func parseTilePath(path string) (tlog.Tile, error) {
	rest := strings.TrimPrefix(path, "tile/")
	if strings.HasPrefix(rest, "entries/") {
		rest = "data/" + strings.TrimPrefix(rest, "entries/")
	}
	tile, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", tileHeight, rest))
	if err == nil && tilePath(tile) != path {
		err = fmt.Errorf("%q is not the path of a tile", path)
	}
	return tile, err
}

// storage holds the hashes of a tree in tlog's order and is its own tlog.HashReader.
type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, fmt.Errorf("the tree has no stored hash %d", index)
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

// buildTree computes all hashes of the tree over the given leaf hashes, and its root.
func buildTree(leaves []tlog.Hash) (storage, tlog.Hash, error) {
	hashes := make(storage, 0, 2*len(leaves))
	for n, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(n), leaf, hashes)
		if err != nil {
			return nil, tlog.Hash{}, err
		}
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), hashes)
	return hashes, root, err
}

// folder is a log's folder, read and taken apart; it is a tlog.TileReader.
type folder struct {
	dir  string
	head tlog.Tree
	// tiles are all that a tree of this size has, each of its full width.
	tiles map[tlog.Tile][]byte
	// bundles names the entry bundles (level -1): entry n stands in bundles[n>>tileHeight].
	bundles []tlog.Tile
	leaves  []tlog.Hash
}

func (f *folder) Height() int { return tileHeight }

func (f *folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f *folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var found bool
		if data[i], found = f.tiles[tile]; !found {
			return nil, wrongf(tilePath(tile), "a tree of %d entries has no such tile", f.head.N)
		}
	}
	return data, nil
}

// read reads a file of the folder.
func (f *folder) read(path string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(f.dir, filepath.FromSlash(path)))
	if err != nil {
		return nil, wrongf(path, "cannot be read: %v", err)
	}
	return data, nil
}

// readFolder reads the checkpoint and every file that a log of its size has, each in its right form.
func readFolder(dir, vkey string) (*folder, error) {
	f := &folder{dir: dir, tiles: map[tlog.Tile][]byte{}}
	checkpoint, err := f.read("checkpoint")
	if err != nil {
		return nil, err
	}
	if f.head, err = readCheckpoint(checkpoint, vkey); err != nil {
		return nil, wrongf("checkpoint", "%v", err)
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, f.head.N) {
		data, err := f.read(tilePath(tile))
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, wrongf(tilePath(tile), "has %d bytes, not %d hashes", len(data), tile.W)
		}
		f.tiles[tile] = data
		if tile.L > 0 {
			continue
		}
		bundle := tile
		bundle.L = -1
		if data, err = f.read(tilePath(bundle)); err != nil {
			return nil, err
		}
		entries, err := parseBundle(data, bundle.W)
		if err != nil {
			return nil, wrongf(tilePath(bundle), "%v", err)
		}
		f.bundles = append(f.bundles, bundle)
		for _, entry := range entries {
			f.leaves = append(f.leaves, tlog.RecordHash(entry))
		}
	}
	return f, nil
}

// parseBundle splits an entry bundle: 16 bits of length, high byte first, before each entry.
func parseBundle(data []byte, width int) ([][]byte, error) {
	var entries [][]byte
	for len(entries) < width {
		if len(data) < 2 {
			return nil, fmt.Errorf("ends before entry %d of %d", len(entries), width)
		}
		size := int(binary.BigEndian.Uint16(data))
		data = data[2:]
		if size == 0 || size > maxEntry || size > len(data) {
			return nil, fmt.Errorf("entry %d of %d cannot have %d bytes", len(entries), width, size)
		}
		entries = append(entries, data[:size])
		data = data[size:]
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%d bytes follow the last of %d entries", len(data), width)
	}
	return entries, nil
}

// checkLog checks everything in a log's folder and prints what it has seen.
func checkLog(dir, vkey string, proofs int64) error {
	f, err := readFolder(dir, vkey)
	if err != nil {
		return err
	}
	hashes, root, err := buildTree(f.leaves)
	if err != nil {
		return err
	}
	if root != f.head.Hash {
		return f.blame()
	}
	// From here on the entries are proved. Every tile is compared with the tree over them: older versions of
	// tlog.TileHashReader leave some tiles of the right edge's size unauthenticated (fixed in v0.42.0).
	for _, tile := range tlog.NewTiles(tileHeight, 0, f.head.N) {
		if err := checkTile(tile, f.tiles[tile], hashes); err != nil {
			return err
		}
	}
	older, err := f.checkOtherFiles(hashes)
	if err != nil {
		return err
	}
	if f.head.N == 0 {
		fmt.Printf("0 entries, 0 tiles, 0 bundles, %d older files, 0 inclusion proofs, 0 consistency proofs\n", older)
		return nil
	}
	reader := tlog.TileHashReader(f.head, f)
	if err := f.checkLeaves(reader); err != nil {
		return err
	}
	inclusions, err := f.checkInclusion(reader, proofs)
	if err != nil {
		return err
	}
	consistencies, err := f.checkPrefixes(reader, hashes)
	if err != nil {
		return err
	}
	fmt.Printf("%d entries, %d tiles, %d bundles, %d older files, %d inclusion proofs, %d consistency proofs\n",
		f.head.N, len(f.tiles), len(f.bundles), older, inclusions, consistencies)
	return nil
}

// blame says which file is wrong where the entries do not lead to the checkpoint's root.
func (f *folder) blame() error {
	var leaves []tlog.Hash
	for _, tile := range tlog.NewTiles(tileHeight, 0, f.head.N) {
		if tile.L == 0 {
			leaves = append(leaves, splitTile(f.tiles[tile])...)
		}
	}
	_, root, err := buildTree(leaves)
	if err != nil {
		return err
	}
	if root != f.head.Hash {
		return wrongf("checkpoint", "neither the entries nor the tiles lead to its root")
	}
	n := 0
	for leaves[n] == f.leaves[n] {
		n++ // ends before the last leaf: equal leaves would have led to the root
	}
	return wrongf(tilePath(f.bundles[n>>tileHeight]), "entry %d is not the one that the checkpoint covers", n)
}

func splitTile(data []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(data)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes
}

func checkTile(tile tlog.Tile, data []byte, hashes storage) error {
	want, err := tlog.ReadTileData(tile, hashes)
	if err != nil {
		return wrongf(tilePath(tile), "%v", err)
	}
	if !bytes.Equal(data, want) {
		return wrongf(tilePath(tile), "its hashes are not those of the tree")
	}
	return nil
}

// checkOtherFiles checks the files that a smaller log had: each stays as it was written.
func (f *folder) checkOtherFiles(hashes storage) (int, error) {
	count := 0
	top := filepath.Join(f.dir, "tile")
	err := filepath.WalkDir(top, func(name string, item fs.DirEntry, err error) error {
		if err != nil || item.IsDir() {
			if name == top && os.IsNotExist(err) {
				return nil // an empty log has no tiles
			}
			return err
		}
		relative, err := filepath.Rel(f.dir, name)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(relative)
		tile, err := parseTilePath(path)
		if err != nil {
			return wrongf(path, "%v", err)
		}
		if f.isNewest(tile) {
			return nil
		}
		count++
		data, err := f.read(path)
		if err != nil {
			return err
		}
		if tile.L >= 0 {
			return checkTile(tile, data, hashes)
		}
		entries, err := parseBundle(data, tile.W)
		if err != nil {
			return wrongf(path, "%v", err)
		}
		first := tile.N << tileHeight
		for i, entry := range entries {
			if n := first + int64(i); n >= f.head.N || tlog.RecordHash(entry) != f.leaves[n] {
				return wrongf(path, "entry %d is not the one that the checkpoint covers", n)
			}
		}
		return nil
	})
	return count, err
}

// isNewest says whether readFolder has read this file: it is not one of a smaller log.
func (f *folder) isNewest(tile tlog.Tile) bool {
	if tile.L >= 0 {
		return f.tiles[tile] != nil
	}
	return tile.N < int64(len(f.bundles)) && f.bundles[tile.N] == tile
}

// checkLeaves reads every leaf hash through tlog's authenticating reader of tiles.
func (f *folder) checkLeaves(reader tlog.HashReader) error {
	for first := 0; first < len(f.leaves); first += tileWidth {
		var indexes []int64
		for n := first; n < first+tileWidth && n < len(f.leaves); n++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, int64(n)))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("leaf hashes from %d on: %w", first, err)
		}
		for i, hash := range hashes {
			if hash != f.leaves[first+i] {
				return fmt.Errorf("leaf hash %d is not its entry's", first+i)
			}
		}
	}
	return nil
}

// checkInclusion proves entries to be in the tree, all of them or at most `proofs` evenly spread with the last.
func (f *folder) checkInclusion(reader tlog.HashReader, proofs int64) (int, error) {
	size := f.head.N
	step := int64(1)
	if proofs >= 0 && proofs < size {
		if proofs == 0 {
			return 0, nil
		}
		step = (size + proofs - 1) / proofs
	}
	count := 0
	for n := size - 1; n >= 0; n -= step {
		proof, err := tlog.ProveRecord(size, n, reader)
		if err == nil {
			err = tlog.CheckRecord(proof, size, f.head.Hash, n, f.leaves[n])
		}
		if err != nil {
			return count, fmt.Errorf("inclusion of entry %d: %w", n, err)
		}
		count++
	}
	return count, nil
}

// checkPrefixes proves trees of older sizes to be prefixes: around every power of two, and just before the end.
func (f *folder) checkPrefixes(reader tlog.HashReader, hashes storage) (int, error) {
	newest := f.head
	older := map[int64]bool{newest.N - 1: true, newest.N: true, newest.N / 2: true, newest.N * 3 / 4: true}
	for size := int64(1); size <= newest.N; size *= 2 {
		older[size-1], older[size], older[size+1] = true, true, true
	}
	count := 0
	for size := range older {
		if size < 1 || size > newest.N {
			continue
		}
		root, err := tlog.TreeHash(size, hashes)
		if err != nil {
			return count, err
		}
		proof, err := tlog.ProveTree(newest.N, size, reader)
		if err == nil {
			err = tlog.CheckTree(proof, newest.N, newest.Hash, size, root)
		}
		if err != nil {
			return count, fmt.Errorf("consistency from %d: %w", size, err)
		}
		count++
	}
	return count, nil
}
