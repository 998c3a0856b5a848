package preview

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// What bbolt writes, in the byte order of the machine. A file is a row of
// pages of one size. Pages 0 and 1 are headers that take turns, the newer
// valid one counts; it names the page of the root bucket and the one that lists
// the free pages. A bucket is a tree of branch and leaf pages with ascending
// keys. Source: go.etcd.io/bbolt/internal/common, format version 2.
const (
	pageHeaderSize    = 16 // id 8, flags 2, count 2, overflow 4
	branchElementSize = 16 // pos 4, key size 4, page 8
	leafElementSize   = 16 // flags 4, pos 4, key size 4, value size 4
	bucketHeaderSize  = 16 // root page 8, sequence 8

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	bucketElement = 0x01 // flag of a leaf element whose value is a bucket

	metaMagic   = 0xED0CDAED
	metaVersion = 2
)

// foreign reports whether a file that begins so was never a links file, so that
// a wrong preview.state_file does not move another program's file. A links file begins
// with a 4 among fifteen zero bytes, then the magic number.
func foreign(head []byte) bool {
	for at := 0; at+4 <= len(head); at++ {
		if binary.NativeEndian.Uint32(head[at:]) == metaMagic {
			return false
		}
	}
	head = head[:min(len(head), pageHeaderSize)]
	return len(head)-bytes.Count(head, []byte{0}) > len(head)/4
}

// checkPages reads a whole links file without trusting any number in it. It
// returns the records that can be reached and whose checksum is right, and the
// first thing that is wrong in the file, nil if nothing is. An empty file is a
// new one and sound.
func checkPages(content []byte) (records []record, damage error) {
	if len(content) == 0 {
		return nil, nil
	}
	header, damage := newestHeader(content)
	if header == nil {
		return nil, damage
	}
	c := &pageCheck{content: content, header: *header, owner: make([]bool, header.pages), damage: damage}
	c.claim(0, 2)
	c.tree("", header.root, nil, nil)
	if !c.sawLinks {
		c.fail(errors.New("the list of links is missing"))
	}
	c.freelist()
	return c.records, c.damage
}

// fileHeader is the content of page 0 or 1.
type fileHeader struct {
	pageSize             int
	root, freelist, txid uint64
	pages                uint64 // all pages that were ever used have smaller numbers
}

// newestHeader returns the newer of the valid headers, nil if there is none,
// and what is wrong with either.
func newestHeader(content []byte) (*fileHeader, error) {
	first, damage := readHeader(content, 0)
	var second *fileHeader
	var err error
	if first != nil {
		second, err = readHeader(content, first.pageSize)
	} else { // the page size is not known: try those that machines have
		for size := 1 << 10; size <= 1<<16 && second == nil; size <<= 1 {
			second, err = readHeader(content, size)
		}
	}
	if damage == nil {
		damage = err
	}
	if first == nil || second != nil && second.txid > first.txid {
		return second, damage
	}
	return first, damage
}

// readHeader reads the header page that begins at an offset.
func readHeader(content []byte, at int) (*fileHeader, error) {
	const size, summed = 64, 56
	if len(content) < at+pageHeaderSize+size {
		return nil, errors.New("the file is truncated within its headers")
	}
	page, meta := content[at:], content[at+pageHeaderSize:][:size]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:summed])
	h := &fileHeader{
		pageSize: int(binary.NativeEndian.Uint32(meta[8:])),
		root:     binary.NativeEndian.Uint64(meta[16:]),
		freelist: binary.NativeEndian.Uint64(meta[32:]),
		pages:    binary.NativeEndian.Uint64(meta[40:]),
		txid:     binary.NativeEndian.Uint64(meta[48:]),
	}
	switch {
	case binary.NativeEndian.Uint32(meta) != metaMagic, binary.NativeEndian.Uint32(meta[4:]) != metaVersion,
		binary.NativeEndian.Uint64(meta[summed:]) != sum.Sum64(),
		h.pageSize < 1<<10 || h.pageSize > 1<<24 || at != 0 && h.pageSize != at,
		binary.NativeEndian.Uint16(page[8:]) != metaPage:
		return nil, fmt.Errorf("the header at %d is damaged", at)
	case h.pages < 4 || h.pages > uint64(len(content)/h.pageSize):
		return nil, fmt.Errorf("the file is truncated: %d bytes of %d pages", len(content), h.pages)
	}
	return h, nil
}

// pageCheck walks the pages of one file.
type pageCheck struct {
	content  []byte
	header   fileHeader
	owner    []bool // by page: it belongs to something already
	sawLinks bool
	lastKey  []byte // of the leaf elements of the bucket that is being walked
	records  []record
	damage   error // the first
}

func (c *pageCheck) fail(err error) {
	if c.damage == nil {
		c.damage = err
	}
}

// claim marks pages as belonging to something; each may belong to one thing.
func (c *pageCheck) claim(first, count uint64) bool {
	end := first + count
	if first >= c.header.pages || end > c.header.pages || end < first {
		return false
	}
	if slices.Contains(c.owner[first:end], true) {
		return false
	}
	for i := first; i < end; i++ {
		c.owner[i] = true
	}
	return true
}

// page returns a page with its overflow, after checking its own header.
func (c *pageCheck) page(id uint64) (page []byte, ok bool) {
	if id < 2 || id >= c.header.pages {
		return nil, false
	}
	at := id * uint64(c.header.pageSize)
	pages := 1 + uint64(binary.NativeEndian.Uint32(c.content[at+12:]))
	if binary.NativeEndian.Uint64(c.content[at:]) != id || !c.claim(id, pages) {
		return nil, false
	}
	return c.content[at:][:pages*uint64(c.header.pageSize)], true
}

// tree walks a page and what is below it. Keys must be in [low, high); nil is
// no bound. No page is walked twice, so it ends.
func (c *pageCheck) tree(bucket string, id uint64, low, high []byte) {
	page, ok := c.page(id)
	if !ok {
		c.fail(fmt.Errorf("page %d is damaged", id))
		return
	}
	switch flags := binary.NativeEndian.Uint16(page[8:]); flags {
	case leafPage:
		c.leaf(bucket, page, low, high)
	case branchPage:
		c.branch(bucket, id, page, low, high)
	default:
		c.fail(fmt.Errorf("page %d is damaged: flags %#x", id, flags))
	}
}

func (c *pageCheck) branch(bucket string, id uint64, page, low, high []byte) {
	type child struct {
		key []byte
		id  uint64
	}
	var children []child
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		at := pageHeaderSize + i*branchElementSize
		if at+branchElementSize > len(page) {
			c.fail(fmt.Errorf("page %d is damaged: %d elements do not fit", id, i))
			break
		}
		element := page[at:]
		key, _, ok := keyValue(element, binary.NativeEndian.Uint32(element), binary.NativeEndian.Uint32(element[4:]), 0)
		if !ok || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 ||
			len(children) > 0 && bytes.Compare(key, children[len(children)-1].key) <= 0 {
			c.fail(fmt.Errorf("page %d is damaged: key %d", id, i))
			key = low
		}
		children = append(children, child{key, binary.NativeEndian.Uint64(element[8:])})
	}
	if len(children) == 0 {
		c.fail(fmt.Errorf("page %d is damaged: no elements", id))
	}
	for i, child := range children {
		above := high
		if i+1 < len(children) {
			above = children[i+1].key
		}
		c.tree(bucket, child.id, child.key, above)
	}
}

// leaf reads the elements of a leaf page, or of a bucket that lies within an
// element.
func (c *pageCheck) leaf(bucket string, page, low, high []byte) {
	for i := range int(binary.NativeEndian.Uint16(page[10:])) {
		at := pageHeaderSize + i*leafElementSize
		if at+leafElementSize > len(page) {
			c.fail(fmt.Errorf("a page is damaged: %d elements do not fit", i))
			return
		}
		element := page[at:]
		flags := binary.NativeEndian.Uint32(element)
		key, value, ok := keyValue(element, binary.NativeEndian.Uint32(element[4:]),
			binary.NativeEndian.Uint32(element[8:]), binary.NativeEndian.Uint32(element[12:]))
		if !ok || bytes.Compare(key, c.lastKey) <= 0 || bytes.Compare(key, low) < 0 ||
			high != nil && bytes.Compare(key, high) >= 0 {
			c.fail(fmt.Errorf("element %d of a page is damaged", i))
		}
		if !ok {
			continue
		}
		c.lastKey = key
		c.element(bucket, flags, key, value)
	}
}

// element takes in one leaf element: a record in the bucket of links, that
// bucket in the root bucket. What else it finds there is walked as if it were
// the bucket of links with a damaged name: records vouch for themselves.
func (c *pageCheck) element(bucket string, flags uint32, key, value []byte) {
	if bucket == bucketLinks {
		r, err := decode(key, value)
		if err != nil || flags != 0 {
			c.fail(errDamagedRecord)
			return
		}
		c.records = append(c.records, r)
		return
	}
	if flags != bucketElement || string(key) != bucketLinks {
		c.fail(errors.New("the name of the list of links is damaged"))
	}
	if len(value) < bucketHeaderSize+pageHeaderSize && (len(value) < bucketHeaderSize ||
		binary.NativeEndian.Uint64(value) == 0) {
		c.fail(errors.New("the list of links is damaged"))
		return
	}
	c.sawLinks = true
	outer := c.lastKey
	c.lastKey = nil
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		c.tree(bucketLinks, root, nil, nil)
	} else { // a small bucket lies within the element, as a page without a number
		page := value[bucketHeaderSize:]
		if binary.NativeEndian.Uint64(page) != 0 || binary.NativeEndian.Uint16(page[8:]) != leafPage {
			c.fail(errors.New("the list of links is damaged"))
		}
		c.leaf(bucketLinks, page, nil, nil)
	}
	c.lastKey = outer
}

// keyValue is what an element points to; pos counts from the element.
func keyValue(element []byte, pos, keySize, valueSize uint32) (key, value []byte, ok bool) {
	start, end := uint64(pos), uint64(pos)+uint64(keySize)+uint64(valueSize)
	if keySize == 0 || end > uint64(len(element)) {
		return nil, nil, false
	}
	return element[start:][:keySize], element[start+uint64(keySize) : end], true
}

// freelist checks that each page is free or belongs to the tree, not both: a
// page in use that is listed as free would be overwritten by the next change.
func (c *pageCheck) freelist() {
	page, ok := c.page(c.header.freelist)
	if !ok || binary.NativeEndian.Uint16(page[8:]) != freelistPage {
		c.fail(errors.New("the list of free pages is damaged"))
		return
	}
	count, ids := uint64(binary.NativeEndian.Uint16(page[10:])), page[pageHeaderSize:]
	if count == 0xFFFF { // the real count is the first element
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		c.fail(errors.New("the list of free pages is damaged"))
		return
	}
	previous := uint64(0)
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[i*8:])
		if id <= previous || !c.claim(id, 1) {
			c.fail(errors.New("the list of free pages is damaged"))
			return
		}
		previous = id
	}
	if unused := slices.Index(c.owner, false); unused >= 0 {
		c.fail(fmt.Errorf("page %d belongs to nothing", unused))
	}
}
