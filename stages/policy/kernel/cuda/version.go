package cuda

import "fmt"

// driverNeeded is the oldest CUDA version whose drivers compile the kernels: 12.9, whose PTX is version 8.8.
const driverNeeded = 12090

// CheckDriver refuses a driver that is too old for the kernels. version is that of cuDriverGetVersion, such as 12090
// for 12.9.
func CheckDriver(version int) error {
	if version >= driverNeeded {
		return nil
	}
	return fmt.Errorf("the driver supports CUDA %s, the kernels need %s: install a newer driver",
		VersionName(version), VersionName(driverNeeded))
}

// VersionName is 12.9 for 12090.
func VersionName(version int) string { return fmt.Sprintf("%d.%d", version/1000, version%1000/10) }
