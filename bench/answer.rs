//! The least program that can be served: it answers and ends, in two system calls and without any library, so that what
//! is measured is the server; with `--cfg hold` it ends when its client does, and with `--cfg echo` it repeats what it is
//! told until the end of that. `bench/served` builds it.
#![no_std]
#![no_main]

use core::arch::asm;
use core::panic::PanicInfo;

#[cfg(not(echo))]
const ANSWER: &[u8] = b"ok\n";

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(echo)]
    {
        let mut room = core::mem::MaybeUninit::<[u8; 4096]>::uninit();
        let room = room.as_mut_ptr() as usize;
        loop {
            let length = call(READ, 0, room, 4096);
            // An error is above this.
            if length == 0 || length > 4096 {
                break;
            }
            call(WRITE, 1, room, length);
        }
    }
    #[cfg(not(echo))]
    call(WRITE, 1, ANSWER.as_ptr() as usize, ANSWER.len());
    #[cfg(hold)]
    {
        // Until the client has closed; what it says is for nobody.
        let mut byte = 0_u8;
        call(READ, 0, &raw mut byte as usize, 1);
    }
    loop {
        call(EXIT, 0, 0, 0);
    }
}

#[cfg(target_arch = "x86_64")]
const WRITE: usize = 1;
#[cfg(all(any(hold, echo), target_arch = "x86_64"))]
const READ: usize = 0;
#[cfg(target_arch = "x86_64")]
const EXIT: usize = 231;

#[cfg(target_arch = "x86_64")]
fn call(number: usize, first: usize, second: usize, third: usize) -> usize {
    let answer;
    // SAFETY: write only reads the bytes of a literal, read writes one byte of a local, exit_group takes no pointer; the kernel keeps all registers but
    // those that are named.
    unsafe {
        asm!("syscall", inout("rax") number => answer, in("rdi") first, in("rsi") second, in("rdx") third,
             out("rcx") _, out("r11") _)
    };
    answer
}

#[cfg(target_arch = "aarch64")]
const WRITE: usize = 64;
#[cfg(all(any(hold, echo), target_arch = "aarch64"))]
const READ: usize = 63;
#[cfg(target_arch = "aarch64")]
const EXIT: usize = 94;

#[cfg(target_arch = "aarch64")]
fn call(number: usize, first: usize, second: usize, third: usize) -> usize {
    let answer;
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", in("x8") number, inout("x0") first => answer, in("x1") second, in("x2") third)
    };
    answer
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
