//go:build gpu && linux && amd64

package device

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudriver"
)

func gpus() ([]GPU, error) {
	n, err := cudriver.Devices()
	if err != nil {
		return nil, err
	}
	var all []GPU
	for i := range n {
		driver, err := cudriver.Open(i)
		if err != nil {
			return nil, err
		}
		g := GPU{Name: driver.Name()}
		g.Free, g.Total, err = driver.Memory()
		if closing := driver.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

func openGPU(n int) (kernel.Device, error) {
	driver, err := cudriver.Open(n)
	if err != nil {
		return nil, err
	}
	return cuda.New(driver)
}
