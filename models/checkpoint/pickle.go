package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// storageElems maps the names of the torch storage classes that may appear to their element types.
var storageElems = map[string]elem{
	"DoubleStorage": elemF64, "FloatStorage": elemF32, "HalfStorage": elemF16, "BFloat16Storage": elemBF16,
	"LongStorage": elemI64, "IntStorage": elemI32, "ShortStorage": elemI16, "CharStorage": elemI8,
	"ByteStorage": elemU8, "BoolStorage": elemU8,
}

// storageClass stands for a class such as torch.FloatStorage. A pickle can name it but not call it.
type storageClass struct{ elem elem }

// storage refers to a record of the archive: size elements under data/key.
type storage struct {
	elem elem
	key  string
	size int
}

// view is a strided window on a storage, as described by torch._utils._rebuild_tensor_v2.
type view struct {
	storage storage
	offset  int
	size    []int
	stride  []int
}

// global resolves the few names that a file of tensors needs. Other names stand for nothing, and those that could only
// run code are refused.
func global(module, name string) (any, error) {
	switch {
	case module == "collections" && name == "OrderedDict":
		return &types.OrderedDictClass{}, nil
	case module == "torch._utils" && name == "_rebuild_tensor_v2":
		return callable(rebuildTensor), nil
	case module == "torch._utils" && name == "_rebuild_parameter":
		return callable(rebuildParameter), nil
	case module == "torch._utils" && name == "_rebuild_parameter_with_state":
		return callable(rebuildParameter), nil
	case module == "torch._tensor" && name == "_rebuild_from_type_v2":
		return callable(rebuildFromType), nil
	case module == "torch" && storageElems[name].size > 0:
		return storageClass{storageElems[name]}, nil
	case !hostile(module, name):
		return opaqueClass{module + "." + name}, nil
	}
	return nil, fmt.Errorf("the pickle names %q: only tensors are read, nothing is executed", module+"."+name)
}

type callable func(args []any) (any, error)

func (c callable) Call(args ...any) (any, error) { return c(args) }

// rebuildTensor takes (storage, offset, size, stride, requires_grad, backward_hooks[, metadata]).
func rebuildTensor(args []any) (any, error) {
	if len(args) < 6 {
		return nil, fmt.Errorf("_rebuild_tensor_v2 with %d arguments", len(args))
	}
	if o, ok := args[0].(*opaque); ok { // a storage of complex or quantised numbers
		return o, nil
	}
	s, ok := args[0].(storage)
	offset, okOffset := args[1].(int)
	size, okSize := ints(args[2])
	stride, okStride := ints(args[3])
	if !ok || !okOffset || !okSize || !okStride || len(size) != len(stride) {
		return nil, errors.New("_rebuild_tensor_v2 with arguments of the wrong type")
	}
	return &view{storage: s, offset: offset, size: size, stride: stride}, nil
}

// rebuildParameter takes (tensor, requires_grad, backward_hooks) and returns the tensor.
func rebuildParameter(args []any) (any, error) {
	if len(args) < 1 {
		return nil, errors.New("_rebuild_parameter without arguments")
	}
	switch v := args[0].(type) {
	case *view, *opaque:
		return v, nil
	}
	return nil, errors.New("_rebuild_parameter of something that is not a tensor")
}

// rebuildFromType takes (function, class, arguments, state), as subclasses of tensors have it, and returns what the
// function makes of the arguments if it is one that makes tensors.
func rebuildFromType(args []any) (any, error) {
	if len(args) < 3 {
		return nil, fmt.Errorf("_rebuild_from_type_v2 with %d arguments", len(args))
	}
	f, ok := args[0].(callable)
	t, okArgs := args[2].(*types.Tuple)
	if !ok || !okArgs {
		return &opaque{}, nil
	}
	if len(*t) > 0 {
		if _, nested := (*t)[0].(callable); nested {
			return nil, errors.New("_rebuild_from_type_v2 inside itself")
		}
	}
	return f(*t)
}

func ints(v any) ([]int, bool) {
	t, ok := v.(*types.Tuple)
	if !ok || t.Len() > maxRank {
		return nil, false
	}
	out := make([]int, t.Len())
	for i := range out {
		if out[i], ok = t.Get(i).(int); !ok {
			return nil, false
		}
	}
	return out, true
}

// persistent resolves a persistent id: ("storage", class, key, location, elements).
func persistent(id any) (any, error) {
	t, ok := id.(*types.Tuple)
	if !ok || t.Len() < 5 {
		return nil, errors.New("a persistent id is not a storage tuple")
	}
	if o, ok := t.Get(1).(opaqueClass); ok {
		return &opaque{class: o.name}, nil
	}
	kind, okKind := t.Get(0).(string)
	class, okClass := t.Get(1).(storageClass)
	key, okKey := t.Get(2).(string)
	size, okSize := t.Get(4).(int)
	if !okKind || kind != "storage" || !okClass || !okKey || !okSize || size < 0 {
		return nil, errors.New("a persistent id is not a storage tuple")
	}
	return storage{elem: class.elem, key: key, size: size}, nil
}

// unpickle runs the pickle machine on raw after scan has found only harmless instructions in it.
func unpickle(raw []byte) (any, error) {
	if _, err := scan(raw); err != nil {
		return nil, err
	}
	return runPickle(raw, persistent)
}

// runPickle runs the pickle machine on instructions that scan has accepted. load resolves persistent ids.
func runPickle(raw []byte, load func(id any) (any, error)) (v any, err error) {
	defer func() { // the machine indexes its stack and hashes foreign keys: a damaged stream may make it panic
		if p := recover(); p != nil {
			v, err = nil, errors.New("damaged pickle")
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(raw))
	u.FindClass = global
	u.PersistentLoad = load
	v, err = u.Load()
	if err != nil {
		return nil, errors.New("damaged pickle: " + beginning(err.Error()))
	}
	return v, nil
}

// beginning returns the first characters of a message of the machine, which may quote whole objects.
func beginning(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

const (
	// maxInstructions bounds the objects that a pickle makes: a byte of it can cost 350 bytes of memory. A tensor takes about fifty.
	maxInstructions = 2 << 20
	// maxMarks bounds the lists that are begun at the same time. Python's own pickles nest less deep.
	maxMarks = 1 << 10
)

// scan reads the instructions of a pickle without executing them. It accepts the instructions that torch.save writes
// (protocols 2 and 3) and refuses all others, names that could only run code, and lengths beyond the end, for which the
// machine would otherwise allocate memory, and more instructions than a file of tensors has. It returns the length of the pickle.
func scan(raw []byte) (int, error) {
	at, marks := 0, 0
	for n := 0; at < len(raw); n++ {
		op := raw[at]
		at++
		switch op {
		case '(':
			marks++
		case 't', 'u', 'e', 'l', 'd':
			marks--
		}
		if n >= maxInstructions || marks > maxMarks {
			return 0, fmt.Errorf("pickle, byte %d: more than %d instructions, or %d nested ones: no file of tensors", at-1, maxInstructions, maxMarks)
		}
		arg, err := operand(op, raw[at:])
		if err != nil {
			return 0, fmt.Errorf("pickle, byte %d: %w", at-1, err)
		}
		at += arg
		if op == '.' {
			return at, nil
		}
	}
	return 0, errors.New("the pickle does not end: truncated")
}

// operand returns the length of the operand of instruction op.
func operand(op byte, rest []byte) (int, error) {
	n := 0
	switch op {
	case '(', '.', ')', '}', ']', 'N', 'Q', 'R', 't', 's', 'u', 'b', 'a', 'e', 'l', 'd', '0', '2',
		0x81, 0x85, 0x86, 0x87, 0x88, 0x89: // no operand
	case 'q', 'h', 'K':
		n = 1
	case 'M':
		n = 2
	case 'r', 'j', 'J':
		n = 4
	case 'G':
		n = 8
	case 0x80: // protocol
		n = 1
		if len(rest) > 0 && rest[0] > 3 {
			return 0, fmt.Errorf("protocol %d is not supported: save with torch.save(..., pickle_protocol=2)", rest[0])
		}
	case 'X', 'T', 'B': // text or bytes, 4 bytes length
		if len(rest) < 4 {
			return 0, errTruncated
		}
		n = 4 + int(binary.LittleEndian.Uint32(rest))
	case 'U', 'C', 0x8a: // text, bytes or integer, 1 byte length
		if len(rest) < 1 {
			return 0, errTruncated
		}
		n = 1 + int(rest[0])
	case 'c':
		return globalOperand(rest)
	default:
		return 0, fmt.Errorf("instruction 0x%02x has no place in a file of tensors", op)
	}
	if n > len(rest) {
		return 0, errTruncated
	}
	return n, nil
}

var errTruncated = errors.New("runs past the end: truncated")

// globalOperand reads the two lines "module\nname\n" and asks global whether a pickle may name them.
func globalOperand(rest []byte) (int, error) {
	module, tail, ok1 := bytes.Cut(rest, []byte("\n"))
	name, _, ok2 := bytes.Cut(tail, []byte("\n"))
	if !ok1 || !ok2 {
		return 0, errTruncated
	}
	if _, err := global(string(module), string(name)); err != nil {
		return 0, err
	}
	return len(module) + len(name) + 2, nil
}
