package ptx_test

import (
	"encoding/binary"
	"fmt"
	"math"

	"itool/stages/policy/kernel/cuda/ptx"
)

// A kernel that doubles an element runs, and the interpreter notices when it goes too far.
func Example() {
	const text = `.version 8.0
.target sm_80
.address_size 64
.visible .entry twice(.param .u64 x) {
	.reg .b32 %r<3>; .reg .b64 %rd<4>; .reg .f32 %f<3>;
	ld.param.u64 %rd1, [x];
	mov.u32 %r1, %tid.x;
	mul.wide.u32 %rd2, %r1, 4;
	add.s64 %rd3, %rd1, %rd2;
	ld.global.f32 %f1, [%rd3];
	add.f32 %f2, %f1, %f1;
	st.global.f32 [%rd3], %f2;
	ret;
}`
	module, err := ptx.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	var machine ptx.Machine
	if err := machine.Load(module); err != nil {
		fmt.Println(err)
		return
	}
	x, _ := machine.Alloc(4)
	_ = machine.CopyIn(x, []byte{0, 0, 0xc0, 0x3f}) // 1.5
	params := []byte{0, 0, 0, 0, 0, 0, 0, 0}
	for i := range params {
		params[i] = byte(x >> (8 * i))
	}
	kernel, one := module.Kernels["twice"], [3]int{1, 1, 1}
	fmt.Println(machine.Launch(kernel, one, one, 0, params))
	y := make([]byte, 4)
	fmt.Println(machine.CopyOut(y, x))
	fmt.Println(math.Float32frombits(binary.LittleEndian.Uint32(y)))
	fmt.Println(machine.Launch(kernel, one, [3]int{2, 1, 1}, 0, params))
	// Output:
	// <nil>
	// <nil>
	// 3
	// out of bounds: read: 4 bytes at offset 4 of an allocation of 4
	//   kernel twice at :0 (ld.global.f32, line 10 of the PTX), block [0 0 0], thread [1 0 0], warp 0, lane 1
}
