// Package cudriver is the driver of package cuda on a real GPU, by way of gorgonia.org/cu. It is the only
// package with the build tag gpu, and runs on Linux on x86-64. A binary with it starts on machines without
// a driver, because libcuda is looked for when it starts (shim.c), and then says that there are 0 devices.
//
//	driver, err := cudriver.Open(0)
//	device, err := cuda.Open(driver)
//
// It has never met a GPU: what is tested is that it builds, starts and says so.
package cudriver
