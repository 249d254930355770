//go:build gpu && linux && amd64

package device

import (
	"errors"
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudriver"
)

var machine = Machine{
	Count: func() (int, error) {
		n, err := cudriver.Devices()
		if errors.Is(err, cudriver.ErrNone) {
			err = fmt.Errorf("%w: %w", ErrNone, err)
		}
		return n, err
	},
	Driver: func() (string, error) {
		v := cudriver.Version()
		if v == 0 {
			return "", nil
		}
		return "CUDA " + cuda.VersionName(v), cuda.CheckDriver(v)
	},
	Look: func(i int) (GPU, error) {
		driver, err := cudriver.Open(i)
		if err != nil {
			return GPU{}, err
		}
		g := GPU{Name: driver.Name()}
		g.Free, g.Total, err = driver.Memory()
		return g, errors.Join(err, driver.Close())
	},
	Open: func(i int) (kernel.Device, error) {
		driver, err := cudriver.Open(i)
		if err != nil {
			return nil, err
		}
		return cuda.New(driver)
	},
}
