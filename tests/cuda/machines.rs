//! What becomes of `ops::cuda::driver` on machines that lack something: other settings of the emulated libraries, in a
//! child.

use std::process::Command;

use lottery::{
    error::Result,
    ops::cuda::{
        Format, Gpu, Matrix, Product,
        driver::{COMPILER, Driver},
    },
};

use crate::{
    driver::{driver, emulated_machine},
    support::{empty, on_device, values},
};

/// This test program again, on a machine of its own with the libraries of a folder: what its device `ordinal` says.
fn on_a_machine(libraries: &str, ordinal: usize, settings: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "machines::says_what_becomes_of_it", "--nocapture"])
        .env("LD_LIBRARY_PATH", libraries)
        .env("LOTTERY_TEST_DEVICE", ordinal.to_string())
        .envs(settings.iter().map(|(name, value)| (format!("EMULATED_{name}"), value)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.split_once("said: "));
    said.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
fn says_what_becomes_of_it() {
    let Ok(ordinal) = std::env::var("LOTTERY_TEST_DEVICE") else { return };
    let outcome = || -> Result<String> {
        let gpu = Driver::open(ordinal.parse().unwrap())?;
        gpu.free(gpu.allocate(1)?);
        gpu.wait()?;
        Ok(gpu.description())
    };
    println!("said: {}", outcome().unwrap_or_else(|error| format!("{} {error}", error.exit_code())));
}

type Settings = &'static [(&'static str, &'static str)];

#[test]
fn what_cannot_be_used_is_told_with_what_helps() {
    let Some(dir) = emulated_machine("what cannot be used") else { return };
    let dir = dir.to_str().unwrap();
    let cases: &[(usize, Settings, &str)] = &[
        (
            3,
            &[("CUDA_DEVICES", "2")],
            "2 cuda:3: this machine has 2 devices; choose one, counting from 0, or use --device cpu",
        ),
        (1, &[], "2 cuda:1: this machine has 1 device; choose one, counting from 0, or use --device cpu"),
        (
            0,
            &[("CUDA_CAPABILITY", "75")],
            "2 cuda:0: Emulated GPU, compute capability 7.5, driver 13.0: the kernels need compute capability 8.0; choose \
             another device, or use --device cpu",
        ),
        (
            0,
            &[("CUDA_VERSION", "11040")],
            "2 cuda:0: the NVIDIA driver is too old: it supports CUDA 11.4, and at least 12.0 is needed; install a newer \
             driver, or use --device cpu",
        ),
        (
            0,
            &[("CUDA_FAILS", "700")],
            "1 cuda:0 (Emulated GPU) cannot finish what it was given: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access \
             was encountered). See nvidia-smi, and dmesg for lines with Xid. Run the same command again: it resumes from the \
             last checkpoint. If this happens again, run it with CUDA_LAUNCH_BLOCKING=1, which names the kernel, and \
             report that.",
        ),
        (
            0,
            &[("CUDA_RETAIN", "2")],
            "2 cuda:0 (Emulated GPU) cannot be taken: CUDA_ERROR_OUT_OF_MEMORY. Another process may hold the device's \
             memory (see nvidia-smi): wait for it, or choose another device.",
        ),
        (
            0,
            &[("CUDA_RETAIN", "46")],
            "2 cuda:0 (Emulated GPU) cannot be taken: CUDA_ERROR_DEVICE_UNAVAILABLE. Another process has the device for \
             itself (see nvidia-smi): wait for it, or choose another device.",
        ),
        (
            0,
            &[("CUDA_HOST", "2")],
            "2 cuda:0 (Emulated GPU) cannot get 8388608 bytes (0.01 GiB) of pinned host memory: the host does not have \
             that much left. End other programs on it, or raise the memory limit of this job or container.",
        ),
    ];
    for (ordinal, settings, expected) in cases {
        assert_eq!(on_a_machine(dir, *ordinal, settings), *expected);
    }
    for (code, helps) in [
        ("802", "start the service nvidia-fabricmanager"),
        ("803", "reboot after an update of the driver, or remove the folder `compat` from LD_LIBRARY_PATH"),
        ("804", "the package cuda-compat does not support this device"),
        ("999", "/dev/nvidia-uvm may be missing"),
    ] {
        let said = on_a_machine(dir, 0, &[("CUDA_INIT", code)]);
        assert!(said.contains("does not start: CUDA_ERROR_") && said.contains(helps), "{said}");
    }
    let said = on_a_machine(dir, 0, &[("CUBLAS_CREATE", "1")]);
    assert!(said.starts_with("2 cuda:0 (Emulated GPU) cannot start cuBLAS 13.0.2 (/"), "{said}");
    assert!(
        said.contains("CUBLAS_STATUS_NOT_INITIALIZED. libcublasLt must not be from a later CUDA than"),
        "{said}"
    );
    let none = on_a_machine(dir, 0, &[("CUDA_DEVICES", "0")]);
    assert!(none.contains("the NVIDIA driver does not start: CUDA_ERROR_NO_DEVICE; "), "{none}");
    let text = "2 cuda:0: no NVIDIA driver: libcuda.so.1 cannot be opened (libcuda.so.1: cannot open shared object file: \
                No such file or directory); install NVIDIA's driver, or use --device cpu";
    assert_eq!(on_a_machine("", 0, &[]), text);
}

#[test]
fn pools_that_are_not_there_or_refused_are_not_used() {
    let Some(dir) = emulated_machine("pools") else { return };
    for pools in ["0", "1", "2"] {
        let settings = [("CUDA_POOLS", pools), ("CUDA_VERSION", "13010")];
        let text = "Emulated GPU, compute capability 9.0, driver 13.1, cuBLAS 13.0.2";
        assert_eq!(on_a_machine(dir.to_str().unwrap(), 0, &settings), text, "{pools}");
    }
}

/// A driver of CUDA 12 does not know what CUDA 13 compiled; what CUDA 12 compiled, it runs with its own cuBLAS.
#[test]
fn an_older_driver_needs_an_older_compiler() {
    let Some(dir) = emulated_machine("an older driver") else { return };
    let said = on_a_machine(dir.to_str().unwrap(), 0, &[("CUDA_VERSION", "12040")]);
    if COMPILER.starts_with("12.") {
        assert_eq!(said, "Emulated GPU, compute capability 9.0, driver 12.4, cuBLAS 12.0.2");
    } else {
        let text = format!(
            "2 cuda:0: this program's kernels were compiled by CUDA {COMPILER}, which the driver, of CUDA"
        );
        assert!(said.starts_with(&text), "{said}");
        let text = " 12.4, does not support; install driver 580 or later, or build with a toolkit of CUDA 12, or use";
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn the_doctor_lists_the_devices() {
    let Some(dir) = emulated_machine("the doctor") else { return };
    let doctor = |settings: &[(&str, &str)]| {
        let mut command = assert_cmd::Command::cargo_bin("lottery").unwrap();
        let output = command.arg("doctor").envs(settings.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = dir.to_str().unwrap();
    let text = doctor(&[("LD_LIBRARY_PATH", dir), ("EMULATED_CUDA_DEVICES", "2")]);
    for ordinal in [0, 1] {
        let line = format!("cuda:{ordinal}    Emulated GPU, compute capability 9.0, driver 13.0, 1.00 GiB\n");
        assert!(text.contains(&line), "{text}");
    }
    let found = |text: &str, version: &str, file: &str| {
        let line = text.lines().find(|line| line.starts_with("cublas")).unwrap();
        assert!(
            line.starts_with(&format!("cublas    {version} (")) && line.ends_with(&format!("{file})")),
            "{text}"
        );
    };
    found(&text, "13.0.2", "/libcublasLt.so.13");
    // A later cuBLAS than the driver's does not start.
    let text = doctor(&[("LD_LIBRARY_PATH", dir), ("EMULATED_CUDA_VERSION", "12040")]);
    found(&text, "12.0.2", "/libcublasLt.so.12");
    let told = text.contains("\ndriver    this program's kernels were compiled by CUDA 13");
    assert!(told != COMPILER.starts_with("12."), "{text}");
    let text = doctor(&[("LD_LIBRARY_PATH", dir), ("EMULATED_CUBLAS_VERSION", "111103")]);
    let old = "cublas    cuBLAS is missing: no libcublasLt.so.13 or .12 can be used; libcublasLt.so.13 has version 11.11.3,";
    assert!(text.contains(old), "{text}");
    let text = doctor(&[("LD_LIBRARY_PATH", "")]);
    assert!(text.contains("devices   no NVIDIA driver: libcuda.so.1 cannot be opened"), "{text}");
}

#[test]
fn shared_memory_is_asked_for_however_the_driver_counts_what_a_kernel_has() {
    if emulated_machine("shared memory").is_none() {
        return;
    }
    for (reduced, capability) in [("0", "90"), ("1", "90"), ("0", "86")] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "device::a_kernel_may_have_much_shared_memory_and_none_runs_without_blocks"])
            .envs([("LOTTERY_TEST_ON", "driver"), ("EMULATED_CUDA_REDUCED", reduced)])
            .env("EMULATED_CUDA_CAPABILITY", capability)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{reduced} {capability}: {said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}

/// In a child of the test below, where the first plan fails.
#[test]
fn multiplies_again() {
    if std::env::var_os("EMULATED_CUBLAS_PLAN").is_none() {
        return;
    }
    let gpu = driver().unwrap();
    let format = Format::F32;
    let (numbers, bias) = (
        on_device(&gpu, &[1.0, 2.0, 3.0, 4.0], format).unwrap(),
        on_device(&gpu, &[0.5, 0.25], format).unwrap(),
    );
    let out = empty(&gpu, 4, format).unwrap();
    let matrix = |address| Matrix { address, stride: 2, transposed: false };
    let product = |gpu: &dyn Gpu| {
        gpu.product(&Product {
            shape: (2, 2, 2),
            format,
            a: matrix(numbers.address()),
            b: matrix(numbers.address()),
            c: matrix(out.address()),
            c_format: format,
            accumulate: false,
            bias: Some(bias.address()),
        })
    };
    let error = product(&*gpu).unwrap_err().to_string();
    assert!(error.contains("CUBLAS_STATUS_ALLOC_FAILED of cuBLAS"), "{error}");
    product(&*gpu).unwrap();
    assert_eq!(values(&gpu, &out, 4, format).unwrap(), [7.5, 10.25, 15.5, 22.25]);
}

#[test]
fn a_product_that_failed_is_tried_anew() {
    if emulated_machine("a product that failed").is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "machines::multiplies_again", "--nocapture"])
        .env("EMULATED_CUBLAS_PLAN", "3")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
