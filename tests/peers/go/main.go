// Command gocheck checks a Tallygate log with the Go project's own transparency log packages,
// golang.org/x/mod/sumdb/note and tlog, so that the formats are judged by code that nobody here wrote.
//
// What it prints goes to standard output and the exit status is 0; where something is wrong it prints
// "<file>: <what is wrong>" to standard error and exits with status 1. Status 2 is wrong usage.
package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const usage = `usage:
  gocheck log FOLDER VKEY [PROOFS]                 check a log's folder; prove at most PROOFS entries (default: all)
  gocheck receipts VKEY (RECEIPT STATEMENT)...     check files with receipts
  gocheck consistency FILE                         check lines "old oldroot new newroot hash ..." of base64 hashes
  gocheck vkey NAME KEY                            print the verifier key of a public key in hex
  gocheck sign SKEY <TEXT                          print the note
  gocheck open VKEY <NOTE                          print the note's text
`

// wrong is a file that is not what it should be.
type wrong struct {
	file   string
	reason string
}

func (w *wrong) Error() string { return w.file + ": " + w.reason }

// wrongf makes a *wrong; args fill the reason.
func wrongf(file, reason string, args ...interface{}) error {
	return &wrong{file, fmt.Sprintf(reason, args...)}
}

var errUsage = errors.New("wrong usage")

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	command, args := args[0], args[1:]
	switch {
	case command == "log" && (len(args) == 2 || len(args) == 3):
		proofs := int64(-1)
		if len(args) == 3 {
			var err error
			if proofs, err = strconv.ParseInt(args[2], 10, 64); err != nil || proofs < 0 {
				return errUsage
			}
		}
		return checkLog(args[0], args[1], proofs)
	case command == "receipts" && len(args)%2 == 1:
		return checkReceipts(args[0], args[1:])
	case command == "consistency" && len(args) == 1:
		return checkConsistency(args[0])
	case command == "vkey" && len(args) == 2:
		return printVerifierKey(args[0], args[1])
	case command == "sign" && len(args) == 1:
		return signNote(args[0])
	case command == "open" && len(args) == 1:
		return openNote(args[0])
	}
	return errUsage
}

// readCheckpoint opens a checkpoint: a note signed with vkey whose text is origin, size and root.
func readCheckpoint(data []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("verifier key %q: %w", vkey, err)
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return tlog.Tree{}, errors.New("the text is not origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, err
	}
	if again := fmt.Sprintf("%s\n%d\n%s\n", verifier.Name(), size, root); opened.Text != again {
		return tlog.Tree{}, fmt.Errorf("the text is not in its one form %q", again)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// checkReceipts checks tlog-proof receipts: pairs of files, a receipt and the statement it is for.
func checkReceipts(vkey string, files []string) error {
	for ; len(files) > 0; files = files[2:] {
		receipt, err := os.ReadFile(files[0])
		if err != nil {
			return err
		}
		statement, err := os.ReadFile(files[1])
		if err != nil {
			return err
		}
		if err := checkReceipt(vkey, receipt, statement); err != nil {
			return wrongf(files[0], "%v", err)
		}
	}
	return nil
}

func checkReceipt(vkey string, receipt, statement []byte) error {
	proof, signed, found := bytes.Cut(receipt, []byte("\n\n"))
	if !found {
		return errors.New("there is no blank line")
	}
	lines := strings.Split(string(proof), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("the first two lines are not a tlog-proof's")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	path, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := readCheckpoint(signed, vkey)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(statement))
}

// checkConsistency checks proofs that older trees are prefixes of newer ones.
func checkConsistency(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for number, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return wrongf(file, "line %d has no proof", number+1)
		}
		older, err1 := strconv.ParseInt(fields[0], 10, 64)
		newer, err2 := strconv.ParseInt(fields[2], 10, 64)
		hashes, err3 := parseHashes(append([]string{fields[1], fields[3]}, fields[4:]...))
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				return wrongf(file, "line %d: %v", number+1, err)
			}
		}
		if err := tlog.CheckTree(hashes[2:], newer, hashes[1], older, hashes[0]); err != nil {
			return wrongf(file, "line %d: from %d to %d: %v", number+1, older, newer, err)
		}
	}
	fmt.Printf("%d consistency proofs\n", len(lines))
	return nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

func printVerifierKey(name, key string) error {
	public, err := hex.DecodeString(key)
	if err != nil {
		return err
	}
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n%08x\n", vkey, verifier.Name(), verifier.KeyHash())
	return nil
}

func signNote(skey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(signed)
	return err
}

func openNote(vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(opened.Text)
	return err
}
