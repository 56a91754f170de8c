#![no_main]

lottery_fuzz::target!(SAFETENSORS);
